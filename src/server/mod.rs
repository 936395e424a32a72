//! The face: an HTTP server that takes orders for uploads, and never keeps anyone waiting who
//! asks for something else.
//!
//! The way of a request: the `door` accepts its `connection`, which lets pass what is clean by the
//! judgement of `head`, over the `relay` to tiny_http. From there on `exchange` holds it, and `face`
//! decides by `route` and `query`, and either answers (`answer`, `problem`) or puts it into the
//! `queue`, from which a worker takes it to `upload`. The answer goes back the same way.
//! `description` tells programs what can be asked for.
//! The `ledger` knows what is under way and what lately was, and the `page` shows it to people.
//!
//! A client's own file comes with the request: `file_order` judges its head, and `file_upload` reads
//! the `body` from the connection while it uploads, through `chunked` and `multipart` where it is so
//! coded, and holds it to the `checksums` that were stated.
//!
//! `visitors` knows who is connected, `ceilings` how many may be. `intake` and `drain` are the end of
//! it all, `signals` what begins the end.
//!
//! This room knows Cloud Storage through [`Uploader`] alone: no session, no token. It reads no
//! environment.

pub(crate) mod access_log;
pub(crate) mod admission;
pub(crate) mod api;
pub mod auth;
mod fd_limit;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub(crate) mod problem;
pub(crate) mod router;
mod shutdown;
pub mod signals;
#[cfg(test)]
mod tests;
pub(crate) mod upload_id;
pub(crate) mod uploads;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use thiserror::Error;

use crate::content::{ByteSize, ObjectPrefix};
use crate::gcs::{Uploader, Window};
use crate::http::acceptor::{self, Door, Rules};
use crate::http::connection::Limits;
use crate::telemetry::Metrics;
use admission::Intake;
use api::metrics_listener::{self, MetricsDoor};
use api::openapi;
use auth::Access;
use router::Offer;
use uploads::context::Face;
use uploads::queue::{self, Queue};
pub use uploads::random::CONTENT_TYPE;
use uploads::registry::Ledger;

/// How a server is to be.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen. Port 0: any free one, see [`Server::local_addr`].
    pub listen: SocketAddr,
    /// Where to listen for `GET /metrics`, which then is to be had nowhere else; port 0: any free
    /// one. `None`: with everything else.
    pub metrics_listen: Option<SocketAddr>,
    /// How many uploads run at once.
    pub workers: NonZeroUsize,
    /// How many threads of the uploader talk to Cloud Storage beside the workers.
    pub openers: usize,
    /// How many uploads may wait for a worker. With 0, one is taken only if a worker is idle.
    pub queue_depth: usize,
    /// How many clients may be connected at once. Fewer, if the process may not have as many
    /// descriptors as that takes.
    pub max_connections: NonZeroUsize,
    /// The size of an upload that names none.
    pub upload_size: ByteSize,
    /// The largest size that an upload may name, or a file have.
    pub max_upload_size: ByteSize,
    /// How much of a client's file is kept by each worker that uploads one.
    pub upload_window: Window,
    /// What the objects' names begin with.
    pub object_prefix: ObjectPrefix,
    /// The bucket that objects go to; said in the log.
    pub bucket: String,
    /// How long one upload may take, from its beginning by a worker.
    pub upload_timeout: Duration,
    /// How long uploads may go on after the server was told to stop. What cannot end on its own
    /// by then is interrupted, which may take up to 20 seconds more if the network is dead.
    pub drain_timeout: Duration,
    /// Who may upload.
    pub access: Access,
    /// What an object's URL begins with: `https://storage.googleapis.com`, or an emulator's.
    pub endpoint: String,
}

impl Config {
    /// What the listener for everybody has.
    fn offer(&self) -> Offer {
        if self.metrics_listen.is_some() { Offer::Uploads } else { Offer::Everything }
    }
}

/// Tells a server to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    /// What asks for it, for the log.
    pub reason: &'static str,
}

/// Why a server cannot listen.
#[derive(Debug, Error)]
#[error("cannot listen on {address}: {source}")]
pub struct BindError {
    /// Where it was to listen.
    pub address: SocketAddr,
    /// What the system says.
    pub source: io::Error,
}

/// Why a server ended otherwise than by being told to.
#[derive(Debug, Error)]
pub enum RunError {
    /// It could not start.
    #[error("cannot start the server's threads: {0}")]
    Start(#[source] io::Error),
    /// Some uploads did not end, although they were told to.
    #[error(
        "{0} uploads did not end in time after they were interrupted: their clients may have no answer"
    )]
    Unfinished(usize),
}

/// A server that listens, and serves once it is [run](Server::run).
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    metrics_listener: Option<TcpListener>,
    face: Arc<Face>,
    limits: Limits,
}

impl Server {
    /// Begins to listen. Connections wait until [`Server::run`].
    ///
    /// # Errors
    /// When the address is not to be had.
    pub fn bind(
        config: Config,
        uploader: Arc<dyn Uploader>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, BindError> {
        let failed = |source| BindError { address: config.listen, source };
        let listener = acceptor::listen(config.listen).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let metrics_listener = config.metrics_listen.map(listen_for_metrics).transpose()?;
        metrics.set_capacity(config.workers.get(), config.queue_depth);
        let face = Arc::new(Face {
            queue: Queue::new(config.queue_depth),
            description: openapi::of(&config),
            config,
            uploader,
            metrics,
            intake: Arc::new(Intake::default()),
            ledger: Arc::new(Ledger::new()),
        });
        Ok(Self { listener, address, metrics_listener, face, limits: Limits::DEFAULT })
    }

    /// Where it listens, with the port that it got.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` tells it to stop, or has nobody left who could; then drains: see
    /// [`Config::drain_timeout`]. Every request that was taken has its answer when this returns,
    /// unless its client does not take it.
    ///
    /// # Errors
    /// When it cannot start, and when uploads do not end.
    pub fn run(self, stop: &Receiver<Stop>) -> Result<(), RunError> {
        let Self { listener, address, metrics_listener, face, limits } = self;
        let max_connections = fd_limit::connections(&face.config);
        face.metrics.set_connections_maximum(max_connections);
        let workers = queue::start_workers(&face).map_err(RunError::Start)?;
        let rules = Rules { max_connections, limits };
        let door = Door::open(listener, Arc::clone(&face), rules).map_err(RunError::Start)?;
        log::info!(bucket = face.config.bucket.as_str(); "listening on http://{address}");
        let metrics_door = open_for_metrics(metrics_listener, &face).map_err(RunError::Start)?;

        let reason = stop.recv().map_or("nobody left to ask for it", |stop| stop.reason);
        log::info!("stopping: {reason}");

        face.intake.close();
        door.keep_none_alive();
        let unfinished = shutdown::drain(&face);
        door.close();
        metrics_door.into_iter().for_each(MetricsDoor::close);
        if unfinished > 0 {
            return Err(RunError::Unfinished(unfinished));
        }
        face.queue.end(workers.len(), Instant::now() + Duration::from_secs(1));
        for worker in workers {
            if worker.join().is_err() {
                log::error!("a worker ended in a panic");
            }
        }
        log::info!("stopped");
        Ok(())
    }
}

fn listen_for_metrics(address: SocketAddr) -> Result<TcpListener, BindError> {
    metrics_listener::listen(address).map_err(|source| BindError { address, source })
}

fn open_for_metrics(
    listener: Option<TcpListener>,
    face: &Arc<Face>,
) -> io::Result<Option<MetricsDoor>> {
    let Some(listener) = listener else { return Ok(None) };
    let address = listener.local_addr()?;
    let door = MetricsDoor::open(listener, Arc::clone(face))?;
    log::info!("metrics are at http://{address}/metrics");
    Ok(Some(door))
}
