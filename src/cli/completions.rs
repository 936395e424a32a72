//! `gcs-uploader completions`: shell completions.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use clap_complete::shells;

use super::{Failure, command, print_line};

/// Print the completion script for a shell: source <(gcs-uploader completions bash)
#[derive(Args)]
pub(super) struct Completions {
    /// Shell to print the script for
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
        print_line(consistent(&script).trim_end());
        Ok(ExitCode::SUCCESS)
    }
}

/// Works around a defect of clap_complete 4.6.11: because the command's name contains a dash, the
/// script for bash uses two different names for it, and would complete nothing after a subcommand.
fn consistent(script: &str) -> String {
    script.replace("gcs__subcmd__uploader", "gcs__uploader")
}
