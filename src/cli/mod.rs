//! Command line: commands, flags and their environment variables.
//!
//! Only this module reads the environment and writes to the terminal.

mod check;
mod completions;
#[cfg(feature = "emulator")]
mod emulator;
mod logging;
mod man;
mod progress;
mod serve;
mod settings;
mod stdin;
mod stop;
mod storage;
mod token;
mod upload;
mod usage;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

/// Uploads files to a Google Cloud Storage bucket; each upload either completes exactly once or fails
/// with a reason.
#[derive(Parser)]
#[command(name = "gcs-uploader", version, max_term_width = 100, after_help = usage::exit_status_help())]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Serve(serve::Serve),
    Upload(upload::Upload),
    Check(check::Check),
    Token(token::Tokens),
    Completions(completions::Completions),
    Man(man::WriteMan),
    #[cfg(feature = "emulator")]
    Emulator(emulator::RunEmulator),
}

/// Parses the command line and runs its command.
///
/// The help lists the exit statuses.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage::report(&error),
    };
    let outcome = match cli.command {
        Command::Serve(serve) => serve.run(),
        Command::Upload(upload) => upload.run(),
        Command::Check(check) => check.run(),
        Command::Token(tokens) => tokens.run(),
        Command::Completions(completions) => completions.run(),
        Command::Man(man) => man.run(),
        #[cfg(feature = "emulator")]
        Command::Emulator(emulator) => emulator.run(),
    };
    outcome.unwrap_or_else(|failure| failure.report())
}

/// Definition of the command line, from which help, completions and manual are generated.
fn command() -> clap::Command {
    Cli::command()
}

/// Failure of a command, with its message.
enum Failure {
    /// Invalid setting; nothing was started.
    Setting(String),
    /// Failure at run time.
    Runtime(String),
}

impl Failure {
    /// Prints the message and returns the exit status.
    fn report(self) -> ExitCode {
        let (text, code) = match self {
            Self::Setting(text) => (text, 2),
            Self::Runtime(text) => (text, 1),
        };
        print_error(&text);
        ExitCode::from(code)
    }
}

/// Prints a result to standard output, and ignores a reader that has gone away.
fn print_line(line: &str) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}

/// Prints an error to standard error.
fn print_error(line: &str) {
    let _ = writeln!(io::stderr().lock(), "gcs-uploader: {line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_definition_is_consistent() {
        command().debug_assert();
    }
}
