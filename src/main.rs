//! The `gcs-uploader` binary: runs [`gcs_uploader::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    gcs_uploader::cli::run()
}
