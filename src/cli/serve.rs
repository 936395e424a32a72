//! `gcs-uploader serve`: the server.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use crate::content::ByteSize;
use crate::gcs::{Client, SessionPoolConfig, Window};
use crate::server::auth::Authenticator;
use crate::server::signals::stop_on_signals;
use crate::server::{CONTENT_TYPE, Config, Server};
use crate::telemetry::Metrics;

use super::logging::Logging;
use super::storage::Storage;
use super::{Failure, settings};

/// Run the server: POST /api/upload, POST /api/upload-random, GET /api/health, /api/ready and
/// /metrics
#[derive(Args)]
pub(super) struct Serve {
    /// Address to listen on; port 0 picks a free port
    #[arg(
        long = "listen",
        env = "LISTEN_ADDR",
        value_name = "ADDR:PORT",
        default_value = "0.0.0.0:4545"
    )]
    listen: SocketAddr,

    /// Serve GET /metrics on this address only, which also answers GET /api/health and /api/ready;
    /// port 0 picks a free port
    #[arg(long = "metrics-listen", env = "METRICS_ADDR", value_name = "ADDR:PORT")]
    metrics_listen: Option<SocketAddr>,

    /// File with the SHA-256 of each accepted token (see `gcs-uploader token new`); reloaded when it
    /// changes. Without it, anyone can upload
    #[arg(long, env = "API_TOKENS_FILE", value_name = "FILE")]
    api_tokens_file: Option<PathBuf>,

    /// Number of uploads that run at the same time
    #[arg(
        long,
        env = "WORKERS",
        value_name = "N",
        default_value = "32",
        value_parser = settings::workers
    )]
    workers: NonZeroUsize,

    /// Number of uploads that may wait for a worker; further ones get 503 at once
    #[arg(
        long,
        env = "QUEUE_DEPTH",
        value_name = "N",
        default_value = "128",
        value_parser = settings::queue_depth
    )]
    queue_depth: usize,

    /// Number of upload sessions to open in advance (0: none); saves one round trip per upload, costs
    /// one request per unused session
    #[arg(
        long,
        env = "READY_SESSIONS",
        value_name = "N",
        default_value = "0",
        value_parser = settings::ready_sessions
    )]
    ready_sessions: usize,

    /// Maximum number of client connections; each uses a thread and a file descriptor
    #[arg(
        long,
        env = "MAX_CONNECTIONS",
        value_name = "N",
        default_value = "512",
        value_parser = settings::max_connections
    )]
    max_connections: NonZeroUsize,

    /// Size of a random file if the request does not specify one (64KiB, 1MiB, 5GB)
    #[arg(
        long,
        env = "UPLOAD_SIZE",
        value_name = "SIZE",
        default_value = "1MiB",
        value_parser = settings::object_size
    )]
    upload_size: ByteSize,

    /// Maximum size of an uploaded file
    #[arg(
        long,
        env = "MAX_UPLOAD_SIZE",
        value_name = "SIZE",
        default_value = "5GiB",
        value_parser = settings::object_size
    )]
    max_upload_size: ByteSize,

    /// Memory for the part of a client's file that Cloud Storage has not acknowledged yet, a multiple
    /// of 256KiB. Total memory: up to WORKERS times this
    #[arg(long, env = "UPLOAD_WINDOW", value_name = "SIZE", default_value = "8MiB")]
    upload_window: Window,

    /// Time limit for one upload, including all retries (40s, 5m)
    #[arg(
        long,
        env = "UPLOAD_TIMEOUT",
        value_name = "DURATION",
        default_value = "5m",
        value_parser = settings::duration
    )]
    upload_timeout: Duration,

    /// Time that running uploads have to finish after SIGTERM or SIGINT before they are cancelled
    #[arg(
        long,
        env = "DRAIN_TIMEOUT",
        value_name = "DURATION",
        default_value = "25s",
        value_parser = settings::duration
    )]
    drain_timeout: Duration,

    /// Use the embedded emulator instead of Cloud Storage: in memory, or with files in DIR
    #[cfg(feature = "emulator")]
    #[arg(long, value_name = "DIR", num_args = 0..=1, require_equals = true)]
    emulator: Option<Option<std::path::PathBuf>>,

    #[command(flatten)]
    storage: Storage,

    #[command(flatten)]
    logging: Logging,
}

impl Serve {
    #[cfg(not(feature = "emulator"))]
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        self.check()?;
        self.logging.start("info")?;
        self.serve()
    }

    #[cfg(feature = "emulator")]
    pub(super) fn run(mut self) -> Result<ExitCode, Failure> {
        let Some(dir) = self.emulator.take() else {
            self.check()?;
            self.logging.start("info")?;
            return self.serve();
        };
        if let Some(host) = self.storage.emulator_host() {
            return Err(Failure::Setting(format!(
                "STORAGE_EMULATOR_HOST ({host}) and --emulator cannot be combined: choose one"
            )));
        }
        let bucket = self.storage.bucket.get_or_insert_with(|| "demo-bucket".to_owned()).clone();
        self.check()?;
        self.logging.start("info")?;
        let free_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let emulator = super::emulator::start(free_port, dir.clone(), vec![bucket.clone()])?;
        self.storage.storage_emulator_host = Some(emulator.url());
        self.print_banner(dir.as_deref(), &bucket, &emulator.url());
        self.serve()
    }

    /// Prints that this is an emulator, and commands to try.
    #[cfg(feature = "emulator")]
    fn print_banner(&self, dir: Option<&std::path::Path>, bucket: &str, url: &str) {
        let place = match dir {
            Some(dir) => format!("as files in {}", dir.display()),
            None => "in memory and lost on exit".to_owned(),
        };
        let port = self.listen.port();
        super::print_line(&format!(
            "Emulator: objects are kept {place}. Open http://localhost:{port}\n\
             Or try, in another terminal:\n\
             \n    curl -X POST http://localhost:{port}/api/upload-random\
             \n    curl {url}/storage/v1/b/{bucket}/o\n"
        ));
    }

    /// Checks what depends on several settings.
    fn check(&self) -> Result<(), Failure> {
        self.storage.bucket()?;
        self.storage.endpoint()?;
        if self.upload_size > self.max_upload_size {
            return Err(Failure::Setting(format!(
                "UPLOAD_SIZE (--upload-size) is {}, but MAX_UPLOAD_SIZE (--max-upload-size) is {}: \
                 lower the first or raise the second",
                self.upload_size, self.max_upload_size,
            )));
        }
        Ok(())
    }

    /// Who may upload.
    fn auth(&self) -> Result<Authenticator, Failure> {
        let Some(path) = &self.api_tokens_file else {
            log::warn!("API_TOKENS_FILE is not set: everybody who reaches this server may upload");
            return Ok(Authenticator::open());
        };
        Authenticator::by_file(path).map_err(|error| {
            Failure::Setting(format!("API_TOKENS_FILE (--api-tokens-file): {error}"))
        })
    }

    /// The client, with as many threads for sessions ahead as can be of use: one for each upload
    /// that uses one.
    fn client(&self, openers: usize, metrics: &Arc<Metrics>) -> Result<Client, Failure> {
        let bucket = self.storage.client_bucket(self.workers.get() + openers)?;
        let (sessions, crew) = (NonZeroUsize::new(self.ready_sessions), NonZeroUsize::new(openers));
        let (Some(sessions), Some(crew)) = (sessions, crew) else { return Ok(Client::new(bucket)) };
        let prefix = self.storage.object_prefix.clone();
        let ahead = SessionPoolConfig {
            sessions,
            threads: crew,
            prefix,
            content_type: CONTENT_TYPE.to_owned(),
        };
        Client::with_session_pool(bucket, ahead, Arc::clone(metrics)).map_err(|error| {
            Failure::Runtime(format!("no threads for READY_SESSIONS (--ready-sessions): {error}"))
        })
    }

    fn serve(self) -> Result<ExitCode, Failure> {
        self.storage.check_credentials()?;
        let auth = self.auth()?;
        let metrics = Arc::new(Metrics::new(env!("CARGO_PKG_VERSION")));
        let openers = self.ready_sessions.min(self.workers.get());
        let client = self.client(openers, &metrics)?;
        let config = Config {
            listen: self.listen,
            metrics_listen: self.metrics_listen,
            workers: self.workers,
            pool_threads: openers,
            queue_depth: self.queue_depth,
            max_connections: self.max_connections,
            upload_size: self.upload_size,
            max_upload_size: self.max_upload_size,
            upload_window: self.upload_window,
            object_prefix: self.storage.object_prefix.clone(),
            bucket: client.bucket().name.clone(),
            upload_timeout: self.upload_timeout,
            drain_timeout: self.drain_timeout,
            auth,
            endpoint: client.bucket().endpoint.to_string(),
        };
        let server = Server::bind(config, Arc::new(client), metrics)
            .map_err(|error| Failure::Runtime(error.to_string()))?;
        let stop = stop_on_signals().map_err(|error| {
            Failure::Runtime(format!("cannot install signal handlers: {error}"))
        })?;
        server.run(&stop).map_err(|error| Failure::Runtime(error.to_string()))?;
        Ok(ExitCode::SUCCESS)
    }
}
