//! One clear line for a command line or an environment that makes no sense.

use std::error::Error as _;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::{command, terminal};

/// Tells why, and returns the exit status: 2, or 0 where help or the version was asked for.
pub(super) fn refuse(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            // What is lost when nobody reads it was only help.
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
        }
        _ => {
            terminal::complain(&explain(error));
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
                .map(|valid| format!("{value:?} is none of {valid}"));
            let why = valid.or_else(|| error.source().map(ToString::to_string));
            format!("{setting}: {}", why.unwrap_or_else(|| format!("{value:?} makes no sense")))
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

fn context(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(texts) => Some(texts.join(", ")),
        _ => None,
    }
}

/// A setting by both its names: `UPLOAD_SIZE (--upload-size)`.
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
