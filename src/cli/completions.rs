//! `gcs-uploader completions`: lets a shell complete the command line.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use clap_complete::shells;

use super::{Failure, command, terminal};

/// Print what a shell needs to complete the command line: source <(gcs-uploader completions bash)
#[derive(Args)]
pub(super) struct Completions {
    /// The shell that asks
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

#[derive(Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Completions {
    pub(super) fn run(&self) -> Result<ExitCode, Failure> {
        let mut script = Vec::new();
        let mut command = command();
        let name = command.get_name().to_owned();
        match self.shell {
            Shell::Bash => clap_complete::generate(shells::Bash, &mut command, name, &mut script),
            Shell::Zsh => clap_complete::generate(shells::Zsh, &mut command, name, &mut script),
            Shell::Fish => clap_complete::generate(shells::Fish, &mut command, name, &mut script),
        }
        let script = String::from_utf8_lossy(&script);
        terminal::say(consistent(&script).trim_end());
        Ok(ExitCode::SUCCESS)
    }
}

/// The script for bash calls this command by two names where it looks for what a subcommand takes,
/// because there is a dash in it, and would complete nothing behind one (clap_complete 4.6.11).
fn consistent(script: &str) -> String {
    script.replace("gcs__subcmd__uploader", "gcs__uploader")
}
