//! The binary `gcs-uploader`: everything is in [`gcs_uploader::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    gcs_uploader::cli::run()
}
