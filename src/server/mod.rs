//! The face: an HTTP server that takes orders for uploads, and never keeps anyone waiting who
//! asks for something else.
//!
//! The way of a request: `door` and its `gate`s accept it, `exchange` holds it, `turns` sees to the order
//! on its connection, `face` decides by `body`, `route` and `query`, and either answers
//! (`answer`, `problem`) or puts it into the `queue`, from which a worker takes it to
//! `upload`. `intake` and `drain` are the end of it all, `signals` what begins the end.
//!
//! This room knows Cloud Storage through [`Uploader`] alone: no session, no token. It reads no
//! environment.

pub mod access;
mod access_log;
mod answer;
mod body;
mod door;
mod drain;
mod exchange;
mod face;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod gate;
mod idempotency;
mod intake;
mod metrics_door;
mod order;
mod problem;
mod query;
mod queue;
mod request_id;
mod route;
pub mod signals;
mod strays;
#[cfg(test)]
mod tests;
mod turns;
mod upload;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, select};
use thiserror::Error;

use crate::content::{ByteSize, ObjectPrefix};
use crate::gcs::Uploader;
use crate::telemetry::Metrics;
use access::Access;
use door::Door;
use face::Face;
use intake::Intake;
use metrics_door::MetricsDoor;
use queue::Queue;
use route::Offer;
use strays::{StrayEnds, Strays};
use turns::Turns;

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
    /// How many uploads may wait for a worker. With 0, one is taken only if a worker is idle.
    pub queue_depth: usize,
    /// The size of an upload that names none.
    pub upload_size: ByteSize,
    /// The largest size that an upload may name.
    pub max_upload_size: ByteSize,
    /// What the objects' names begin with.
    pub object_prefix: ObjectPrefix,
    /// The bucket that objects go to; said in the log.
    pub bucket: String,
    /// How long one upload may take, from its beginning by a worker.
    pub upload_timeout: Duration,
    /// How long uploads may go on after the server was told to stop. What cannot end on its own
    /// by then is interrupted, which may take some 10 seconds more.
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
    /// Too many connections are beyond use; a new process has none of them.
    #[error(
        "{0} connections were given up because of the bodies that they announced, and hold descriptors and threads: start again"
    )]
    Stranded(usize),
    /// Some uploads did not end, although they were told to.
    #[error(
        "{0} uploads did not end in time after they were interrupted: their clients got no answer"
    )]
    Unfinished(usize),
}

/// A server that listens, and serves once it is [run](Server::run).
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    metrics_listener: Option<TcpListener>,
    face: Arc<Face>,
    stray_ends: StrayEnds,
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
        Self::bind_with(config, uploader, metrics, strays::LIMIT)
    }

    fn bind_with(
        config: Config,
        uploader: Arc<dyn Uploader>,
        metrics: Arc<Metrics>,
        strays: usize,
    ) -> Result<Self, BindError> {
        let failed = |source| BindError { address: config.listen, source };
        let listener = door::listen(config.listen).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let metrics_listener = config.metrics_listen.map(listen_for_metrics).transpose()?;
        metrics.set_capacity(config.workers.get(), config.queue_depth);
        let (strays, stray_ends) = Strays::new(Arc::clone(&metrics), strays);
        let face = Arc::new(Face {
            queue: Queue::new(config.queue_depth),
            config,
            uploader,
            metrics,
            intake: Arc::new(Intake::default()),
            strays,
            turns: Arc::new(Turns::default()),
        });
        Ok(Self { listener, address, metrics_listener, face, stray_ends })
    }

    /// Where it listens, with the port that it got.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` tells it to stop, or has nobody left who could; then drains: see
    /// [`Config::drain_timeout`]. Every request that was taken has its answer when this returns.
    ///
    /// # Errors
    /// When it cannot start, and when it ends otherwise than it was told to.
    pub fn run(self, stop: &Receiver<Stop>) -> Result<(), RunError> {
        let Self { listener, address, metrics_listener, face, stray_ends } = self;
        let workers = queue::start_workers(&face).map_err(RunError::Start)?;
        strays::start_reading(&stray_ends).map_err(RunError::Start)?;
        let door = Door::open(listener, Arc::clone(&face)).map_err(RunError::Start)?;
        log::info!(bucket = face.config.bucket.as_str(); "listening on http://{address}");
        let metrics_door = open_for_metrics(metrics_listener, &face).map_err(RunError::Start)?;

        let stranded = select! {
            recv(stop) -> stop => {
                let reason = stop.map_or("nobody left to ask for it", |stop| stop.reason);
                log::info!("stopping: {reason}");
                false
            }
            recv(stray_ends.overrun) -> _ => true,
        };
        if stranded {
            log::error!("too many stranded connections: draining, to be started again");
        }

        let unfinished = drain::drain(&face);
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
        match stranded {
            true => Err(RunError::Stranded(face.strays.limit())),
            false => Ok(()),
        }
    }
}

fn listen_for_metrics(address: SocketAddr) -> Result<TcpListener, BindError> {
    metrics_door::listen(address).map_err(|source| BindError { address, source })
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
