//! HTTP server. Accepts uploads; health, readiness and metrics never wait for them.
//!
//! The path of a request: `http` parses it and calls a handler of `api`, which consults the `router`
//! and either responds at once or puts an upload into the queue of `uploads`. A worker takes it from
//! there, and the response goes back over the request's channel.
//!
//! `auth` knows who may upload. `admission` and `shutdown` drain the server; `signals` starts that.
//! `fd_limit` determines how many connections fit.
//!
//! This module knows Cloud Storage through [`Uploader`] alone: no session and no token of Cloud
//! Storage. It does not read the environment.

mod access_log;
mod admission;
mod api;
pub mod auth;
mod config;
mod fd_limit;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod problem;
mod router;
mod shutdown;
pub mod signals;
#[cfg(test)]
mod tests;
mod upload_id;
mod uploads;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, select};
use thiserror::Error;

use crate::gcs::Uploader;
use crate::http::acceptor::{self, Acceptor};
use crate::http::dispatch::Dispatcher;
use crate::http::limits::Limits;
use crate::telemetry::Metrics;
use admission::AdmissionControl;
use api::handlers::Api;
use api::openapi;
pub use config::Config;
use fd_limit::MAX_METRICS_CONNECTIONS;
use router::RouteSet;
use uploads::context::Context;
use uploads::queue::Queue;
pub use uploads::random::CONTENT_TYPE;
use uploads::registry::UploadRegistry;
use uploads::worker;

/// Time for idle workers to stop.
const WORKER_STOP_TIMEOUT: Duration = Duration::from_secs(1);

/// Request to stop a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    /// Reason, for the log.
    pub reason: &'static str,
}

/// Error that prevents a server from listening.
#[derive(Debug, Error)]
#[error("cannot listen on {address}: {source}")]
pub struct BindError {
    /// Address that was to be listened on.
    pub address: SocketAddr,
    /// Error of the system.
    pub source: io::Error,
}

/// Error that ended a server.
#[derive(Debug, Error)]
pub enum RunError {
    /// The server could not start.
    #[error("cannot start the server's threads: {0}")]
    Start(#[source] io::Error),
    /// tiny_http ended, so that requests could not be dispatched any more.
    #[error("cannot dispatch requests: tiny_http ended unexpectedly (see the log)")]
    Dispatch,
    /// Some uploads did not end although they were cancelled.
    #[error(
        "{0} uploads did not end in time after they were cancelled: their clients may have no response"
    )]
    Unfinished(usize),
}

/// A server that listens, and serves once [`run`](Server::run) is called.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    metrics_listener: Option<TcpListener>,
    api: Api,
    limits: Limits,
}

impl Server {
    /// Starts to listen. Connections wait until [`Server::run`].
    ///
    /// # Errors
    /// When an address is in use or not available.
    pub fn bind(
        config: Config,
        uploader: Arc<dyn Uploader>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, BindError> {
        let listener = listen(config.listen)?;
        let address =
            listener.local_addr().map_err(|source| BindError { address: config.listen, source })?;
        let metrics_listener = config.metrics_listen.map(listen).transpose()?;
        metrics.set_capacity(config.workers.get(), config.queue_depth);
        let routes =
            if config.metrics_listen.is_some() { RouteSet::WithoutMetrics } else { RouteSet::All };
        let api = Api {
            queue: Arc::new(Queue::new(config.queue_depth)),
            openapi: openapi::document(&config).into(),
            context: Arc::new(Context {
                config,
                uploader,
                metrics,
                admission: Arc::new(AdmissionControl::default()),
                registry: Arc::new(UploadRegistry::new()),
            }),
            routes,
        };
        Ok(Self { listener, address, metrics_listener, api, limits: Limits::DEFAULT })
    }

    /// Returns the address of the main listener, with the port that it got.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` gets a message or is closed, then drains: see [`Config::drain_timeout`].
    /// Every accepted request has its response when this returns, unless its client does not take it.
    ///
    /// # Errors
    /// When the server cannot start, when tiny_http ends, and when uploads do not end.
    pub fn run(self, stop: &Receiver<Stop>) -> Result<(), RunError> {
        let Self { listener, address, metrics_listener, api, limits } = self;
        let (context, queue) = (Arc::clone(&api.context), Arc::clone(&api.queue));
        let max_connections = fd_limit::max_connections(&context.config);
        context.metrics.set_connections_maximum(max_connections);
        let limits = Limits { max_connections, ..limits };
        let workers = worker::start(&context, &queue).map_err(RunError::Start)?;
        let dispatcher = Dispatcher::start().map_err(RunError::Start)?;
        let metrics_api = Api {
            context: Arc::clone(&context),
            queue: Arc::clone(&queue),
            openapi: Arc::clone(&api.openapi),
            routes: RouteSet::Operations,
        };
        let metrics_limits = Limits { max_connections: MAX_METRICS_CONNECTIONS, ..limits };
        let start = |listener, api, limits| {
            Acceptor::start(listener, dispatcher.sender(Arc::new(api)), limits)
                .map_err(RunError::Start)
        };
        let main = start(listener, api, limits)?;
        log::info!(bucket = context.config.bucket.as_str(); "listening on http://{address}");
        let mut acceptors = vec![main];
        if let Some(listener) = metrics_listener {
            let address = listener.local_addr().map_err(RunError::Start)?;
            acceptors.push(start(listener, metrics_api, metrics_limits)?);
            log::info!("serving metrics on http://{address}/metrics");
        }

        let (reason, outcome) = select! {
            recv(stop) -> stop => {
                (stop.map_or("the stop channel was closed", |stop| stop.reason), Ok(()))
            }
            recv(dispatcher.failure()) -> _ => ("requests cannot be dispatched", Err(RunError::Dispatch)),
        };
        log::info!("stopping: {reason}");

        context.admission.drain();
        acceptors.iter().for_each(Acceptor::close_keep_alive);
        let unfinished = shutdown::drain(&context, &queue);
        acceptors.into_iter().for_each(Acceptor::close);
        dispatcher.stop();
        if unfinished > 0 {
            return Err(RunError::Unfinished(unfinished));
        }
        queue.stop_workers(workers.len(), Instant::now() + WORKER_STOP_TIMEOUT);
        for worker in workers {
            if worker.join().is_err() {
                log::error!("a worker panicked");
            }
        }
        log::info!("stopped");
        outcome
    }
}

fn listen(address: SocketAddr) -> Result<TcpListener, BindError> {
    acceptor::listen(address).map_err(|source| BindError { address, source })
}
