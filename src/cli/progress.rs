//! Progress of an upload on the terminal.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::gcs::{Observer, RetryCause};

/// Progress bar; hidden if standard error is not a terminal.
pub(super) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Creates a bar for `size` bytes, or a byte counter if the size is unknown.
    pub(super) fn new(name: &str, size: Option<u64>) -> Self {
        let target = if io::stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(size, target);
        let template = match size {
            Some(_) => {
                "{prefix} {wide_bar} {binary_bytes}/{binary_total_bytes} \
                 {binary_bytes_per_sec} {eta} left {msg}"
            }
            None => "{prefix} {binary_bytes} {binary_bytes_per_sec} {elapsed} {msg}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_prefix(name.to_owned());
        Self { bar }
    }

    /// Removes the bar from the terminal.
    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

impl Observer for Progress {
    fn sent(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    fn persisted(&self, offset: u64) {
        self.bar.set_position(offset);
    }

    fn retrying(&self, cause: RetryCause, wait: Duration) {
        self.bar.set_message(format!("({cause}: retrying in {:.1} s)", wait.as_secs_f64()));
    }

    fn resuming(&self, _cause: RetryCause, offset: u64) {
        self.bar.set_position(offset);
        self.bar.set_message("");
    }
}
