//! `gcs-uploader token`: makes the tokens that clients of the server show.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::server::auth::{Principal, Token};

use super::{Failure, terminal};

/// Make tokens for those who may upload
#[derive(Args)]
pub(super) struct Tokens {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    New(New),
}

/// Print a new token, and the line for API_TOKENS_FILE by which the server knows it
#[derive(Args)]
struct New {
    /// Whose token it is: shown in the log and with every object that is uploaded with it
    #[arg(value_name = "NAME")]
    name: Principal,
}

impl Tokens {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let Command::New(New { name }) = self.command;
        let token = Token::random();
        terminal::complain(&format!(
            "the first line is the token: give it to {name}, it is not shown again; the second goes \
             into the file that API_TOKENS_FILE names"
        ));
        terminal::say(token.reveal());
        terminal::say(&format!("{} {name}", token.fingerprint()));
        Ok(ExitCode::SUCCESS)
    }
}
