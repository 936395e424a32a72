//! `gcs-uploader emulator`: the Cloud Storage emulator on its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::emulator::{Config, Emulator, StoreKind};

use super::logging::Logging;
use super::{Failure, print_line, settings};

/// Run the Cloud Storage emulator on its own, for tests and trials
#[derive(Args)]
pub(super) struct RunEmulator {
    /// Address to listen on; port 0 picks a free port
    #[arg(long, env = "EMULATOR_ADDR", value_name = "ADDR:PORT", default_value = "127.0.0.1:4550")]
    listen: SocketAddr,

    /// Folder to keep objects in, as files; without it objects are kept in memory
    #[arg(long, env = "EMULATOR_DIR", value_name = "DIR")]
    dir: Option<PathBuf>,

    /// Bucket to create at the start; may be repeated
    #[arg(long, value_name = "NAME", value_parser = settings::bucket)]
    bucket: Vec<String>,

    #[command(flatten)]
    logging: Logging,
}

impl RunEmulator {
    /// Prints its URL as the first line, so that scripts can wait for it.
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        self.logging.start("info")?;
        let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(|error| {
            Failure::Runtime(format!("cannot install signal handlers: {error}"))
        })?;
        let emulator = start(self.listen, self.dir, self.bucket)?;
        print_line(&emulator.url());
        print_line(&format!(
            "Emulator: objects are not stored in Cloud Storage. Use it with STORAGE_EMULATOR_HOST={}",
            emulator.url()
        ));
        signals.forever().next();
        Ok(ExitCode::SUCCESS)
    }
}

/// Starts the emulator, in memory or in a folder.
pub(super) fn start(
    listen: SocketAddr,
    dir: Option<PathBuf>,
    buckets: Vec<String>,
) -> Result<Emulator, Failure> {
    let store = dir.map_or(StoreKind::Memory, StoreKind::Directory);
    Emulator::start(Config { listen, store, buckets })
        .map_err(|error| Failure::Runtime(format!("cannot start the emulator: {error}")))
}
