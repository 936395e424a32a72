//! Commands, flags and their environment variables: the one place that reads the environment, and
//! the one that speaks to the person at the terminal.

mod check;
mod completions;
#[cfg(feature = "emulator")]
mod emulator;
mod exit_status;
mod logging;
mod man;
mod progress;
mod serve;
mod settings;
mod stdin;
mod stop;
mod storage;
mod terminal;
mod token;
mod upload;
mod usage;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

/// Puts files into a Google Cloud Storage bucket; either they are there, once and whole, or you are
/// told why not.
#[derive(Parser)]
#[command(name = "gcs-uploader", version, max_term_width = 100, after_help = exit_status::help())]
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

/// Parses the command line and runs the command it names.
///
/// The exit status is one of those that the help names.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage::refuse(&error),
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
    outcome.unwrap_or_else(|failure| failure.tell())
}

/// All that the command line may say: what the help, the completions and the manual are made from.
fn command() -> clap::Command {
    Cli::command()
}

/// Why a command could not be carried out.
enum Failure {
    /// A setting makes no sense.
    Setting(String),
    /// Something went wrong outside.
    Runtime(String),
}

impl Failure {
    fn tell(self) -> ExitCode {
        let (text, code) = match self {
            Self::Setting(text) => (text, 2),
            Self::Runtime(text) => (text, 1),
        };
        terminal::complain(&text);
        ExitCode::from(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }
}
