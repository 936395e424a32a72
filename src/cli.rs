//! Commands, flags and their environment variables: the one place that reads the environment.

use std::process::ExitCode;

/// Parses the command line and runs the command it names.
pub fn run() -> ExitCode {
    ExitCode::SUCCESS
}
