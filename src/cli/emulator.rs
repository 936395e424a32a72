//! `gcs-uploader emulator`: the stand-in for Cloud Storage, alone.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::emulator::{Config, Emulator, StoreKind};

use super::logging::Logging;
use super::{Failure, settings, terminal};

/// Run the stand-in for Cloud Storage alone, for tests and for trying things out
#[derive(Args)]
pub(super) struct RunEmulator {
    /// The address to listen on; port 0 takes a free one
    #[arg(long, env = "EMULATOR_ADDR", value_name = "ADDR:PORT", default_value = "127.0.0.1:4550")]
    listen: SocketAddr,

    /// The folder that objects are kept in as files; without it they live in memory
    #[arg(long, env = "EMULATOR_DIR", value_name = "DIR")]
    dir: Option<PathBuf>,

    /// A bucket to make at the start; may be given more than once
    #[arg(long, value_name = "NAME", value_parser = settings::bucket)]
    bucket: Vec<String>,

    #[command(flatten)]
    logging: Logging,
}

impl RunEmulator {
    /// Prints its URL as the first line, so that scripts can wait for it and read it.
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        self.logging.start("info")?;
        let mut signals = Signals::new([SIGINT, SIGTERM])
            .map_err(|error| Failure::Runtime(format!("no signals can be heard: {error}")))?;
        let emulator = start(self.listen, self.dir, self.bucket)?;
        terminal::say(&emulator.url());
        terminal::say(&format!(
            "This is not Cloud Storage. Use it with STORAGE_EMULATOR_HOST={}",
            emulator.url()
        ));
        signals.forever().next();
        Ok(ExitCode::SUCCESS)
    }
}

/// Starts the stand-in, in memory or in a folder.
pub(super) fn start(
    listen: SocketAddr,
    dir: Option<PathBuf>,
    buckets: Vec<String>,
) -> Result<Emulator, Failure> {
    let store = dir.map_or(StoreKind::Memory, StoreKind::Directory);
    Emulator::start(Config { listen, store, buckets })
        .map_err(|error| Failure::Runtime(format!("the emulator cannot start: {error}")))
}
