//! `gcs-uploader token`: tokens for clients of the server.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::server::auth::{Principal, Token};

use super::{Failure, print_error, print_line};

/// Create tokens for clients
#[derive(Args)]
pub(super) struct Tokens {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    New(New),
}

/// Print a new token and its line for API_TOKENS_FILE
#[derive(Args)]
struct New {
    /// Name of the token; appears in the log and in the metadata of objects uploaded with it
    #[arg(value_name = "NAME")]
    name: Principal,
}

impl Tokens {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let Command::New(New { name }) = self.command;
        let token = Token::random();
        print_error(&format!(
            "the first line is the token for {name}, which is not shown again; add the second line to \
             the file that API_TOKENS_FILE names"
        ));
        print_line(token.reveal());
        print_line(&format!("{} {name}", token.fingerprint()));
        Ok(ExitCode::SUCCESS)
    }
}
