//! `gcs-uploader upload`: the engine without the server.

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::content::{ByteSize, RandomContent, Seed};
use crate::gcs::{Cause, NewObject, Observer, Uploaded, Uploader};

use super::logging::Logging;
use super::storage::Storage;
use super::{Failure, settings, terminal};

/// Upload random files, without a server; one line of JSON for each on standard output
#[derive(Args)]
pub(super) struct Upload {
    /// How large each file is: bytes, or a number with a unit (64KiB, 1MiB, 5GB)
    #[arg(
        long,
        env = "UPLOAD_SIZE",
        value_name = "SIZE",
        default_value = "1MiB",
        value_parser = settings::object_size
    )]
    size: ByteSize,

    /// How many files, one after another
    #[arg(long, value_name = "N", default_value_t = 1)]
    count: u32,

    /// How long one upload may take, all retries included (40s, 5m)
    #[arg(
        long,
        env = "UPLOAD_TIMEOUT",
        value_name = "DURATION",
        default_value = "5m",
        value_parser = settings::duration
    )]
    upload_timeout: Duration,

    #[command(flatten)]
    storage: Storage,

    #[command(flatten)]
    logging: Logging,
}

impl Upload {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        self.logging.start("warn")?;
        self.storage.bucket()?;
        self.storage.check_credentials()?;
        let client = self.storage.client(1)?;
        let client: Arc<dyn Uploader> = Arc::new(client);
        let stopped = stop_on_signals(&client)?;
        for _ in 0..self.count {
            if let Err(error) = self.one(&*client) {
                terminal::complain(&error);
                let status = if stopped.load(Ordering::Relaxed) { 130 } else { 1 };
                return Ok(ExitCode::from(status));
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    fn one(&self, client: &dyn Uploader) -> Result<(), String> {
        let content = RandomContent::new(Seed::draw(), self.size.as_u64());
        let object = NewObject {
            name: self.storage.object_prefix.random_name(),
            content_type: "application/octet-stream".into(),
            metadata: [("seed".to_owned(), content.seed().to_string())].into(),
        };
        let progress = Progress::new(&object.name, self.size.as_u64());
        let outcome = client.upload(&object, &content, self.upload_timeout, &progress);
        progress.bar.finish_and_clear();
        let uploaded = outcome.map_err(|error| {
            let left =
                if error.absent { "no object was left behind" } else { "look whether it is there" };
            format!("{}: {error}; {left}", object.name)
        })?;
        terminal::say(&line(&uploaded, content.seed()));
        Ok(())
    }
}

fn line(uploaded: &Uploaded, seed: Seed) -> String {
    let object = &uploaded.object;
    json!({
        "bucket": object.bucket,
        "name": object.name,
        "size": object.size,
        "crc32c": object.crc32c,
        "generation": object.generation,
        "contentType": object.content_type,
        "uri": object.gs_uri(),
        "seed": seed.to_string(),
        "resumed": uploaded.resumed,
        "retried": uploaded.retried,
        "bytesSent": uploaded.bytes_sent,
        "durationSeconds": uploaded.elapsed.as_secs_f64(),
    })
    .to_string()
}

/// Lets a signal end the upload under way, and tells whether one has come.
fn stop_on_signals(client: &Arc<dyn Uploader>) -> Result<Arc<AtomicBool>, Failure> {
    let failure = |error: io::Error| Failure::Runtime(format!("no signals can be heard: {error}"));
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(failure)?;
    let stopped = Arc::new(AtomicBool::new(false));
    let (seen, client) = (stopped.clone(), client.clone());
    let hear = move || {
        if signals.forever().next().is_some() {
            seen.store(true, Ordering::Relaxed);
            client.interrupt();
        }
    };
    std::thread::Builder::new().name("signals".into()).spawn(hear).map_err(failure)?;
    Ok(stopped)
}

/// A progress bar on a terminal, and nothing elsewhere.
struct Progress {
    bar: ProgressBar,
}

impl Progress {
    fn new(name: &str, size: u64) -> Self {
        let target = match io::stderr().is_terminal() {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(Some(size), target);
        let template = "{prefix} {wide_bar} {binary_bytes}/{binary_total_bytes} \
                        {binary_bytes_per_sec} {eta} left {msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_prefix(name.to_owned());
        Self { bar }
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
