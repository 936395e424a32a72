//! Usage errors, one line each, and the exit statuses.

use std::error::Error as _;
use std::fmt::Write as _;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::{command, print_error};

/// Exit statuses with their meanings, for the help and the manual.
pub(super) const EXIT_STATUSES: [(u8, &str); 4] = [
    (0, "success, including a clean shutdown"),
    (1, "failure; standard error has the reason"),
    (2, "invalid option or setting; nothing was started"),
    (130, "an upload was interrupted by a signal"),
];

/// Formats the exit statuses for the end of the help.
pub(super) fn exit_status_help() -> String {
    EXIT_STATUSES.iter().fold("Exit status:".to_owned(), |mut text, (status, meaning)| {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n  {status:<4} {meaning}");
        text
    })
}

/// Prints a usage error, or the requested help or version. Returns the exit status.
pub(super) fn report(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            // A reader that has gone away loses only the help.
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
        }
        _ => {
            print_error(&explain(error));
            ExitCode::from(2)
        }
    }
}

fn explain(error: &clap::Error) -> String {
    let argument = context(error, ContextKind::InvalidArg);
    let value = context(error, ContextKind::InvalidValue);
    match (error.kind(), argument, value) {
        (ErrorKind::ValueValidation | ErrorKind::InvalidValue, Some(argument), Some(value)) => {
            let setting = setting(&argument);
            let valid = context(error, ContextKind::ValidValue)
                .filter(|valid| !valid.is_empty())
                .map(|valid| format!("invalid value {value:?}: use one of {valid}"));
            let reason = valid.or_else(|| error.source().map(ToString::to_string));
            format!("{setting}: {}", reason.unwrap_or_else(|| invalid(&value)))
        }
        (ErrorKind::MissingRequiredArgument, Some(arguments), _) => {
            format!("{} is missing", setting(&arguments))
        }
        _ => {
            let text = error.render().to_string();
            let first = text.lines().next().unwrap_or_default();
            format!("{} (see --help)", first.trim_start_matches("error: "))
        }
    }
}

fn invalid(value: &str) -> String {
    if value.is_empty() {
        "the value must not be empty".to_owned()
    } else {
        format!("invalid value {value:?}")
    }
}

fn context(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(texts) => Some(texts.join(", ")),
        _ => None,
    }
}

/// Returns both names of a setting: `UPLOAD_SIZE (--upload-size)`.
fn setting(argument: &str) -> String {
    let flag = argument.split([' ', '=', '[']).next().unwrap_or(argument);
    let long = flag.trim_start_matches("--");
    let variable = command()
        .get_subcommands()
        .flat_map(|command| command.get_arguments())
        .filter(|candidate| candidate.get_long() == Some(long))
        .find_map(|candidate| Some(candidate.get_env()?.to_string_lossy().into_owned()));
    match variable {
        Some(variable) => format!("{variable} ({flag})"),
        None => flag.to_owned(),
    }
}
