//! How far an upload has come, for the person at the terminal.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::gcs::{Cause, Observer};

/// A progress bar on a terminal, and nothing elsewhere.
pub(super) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A bar for `size` bytes; where nobody knows how many there will be, a count.
    pub(super) fn new(name: &str, size: Option<u64>) -> Self {
        let target = match io::stderr().is_terminal() {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
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

    /// Takes it off the terminal.
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

    fn retrying(&self, cause: Cause, wait: Duration) {
        self.bar.set_message(format!("({cause}: again in {:.1} s)", wait.as_secs_f64()));
    }

    fn resuming(&self, _cause: Cause, offset: u64) {
        self.bar.set_position(offset);
        self.bar.set_message("");
    }
}
