//! What the commands say to the person at the terminal.

use std::io::{self, Write as _};

/// A line on standard output: a result. A reader who has gone away is none of our business.
pub(super) fn say(line: &str) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}

/// A line on standard error: what went wrong.
pub(super) fn complain(line: &str) {
    let _ = writeln!(io::stderr().lock(), "gcs-uploader: {line}");
}
