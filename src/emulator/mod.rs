//! A local emulator of Cloud Storage.
//!
//! It implements the part of the JSON API that Google's clients need to create buckets and to upload,
//! read, list and delete objects. Where other emulators differ from Cloud Storage's documentation, it
//! follows the documentation.
//!
//! It is for development and tests: it has no authentication, so it should listen where only its user
//! can reach it. Objects are stored in memory or in a directory ([`StoreKind`]). Faults can be
//! injected into any request, and requests are recorded ([`Faults`]).
//!
//! It shares no protocol code with the client in this crate, so that each can reveal the mistakes of
//! the other. Not implemented: object versions other than the live one, access control, metadata
//! updates, compose and copy, gzip transcoding, sessions that survive a restart, the XML and gRPC
//! APIs. Most of the CPU time of an upload goes into the MD5 that clients expect.
//!
//! The path of a request: `crate::http` (connection, dispatch) → `request_handler` → `worker_pool` →
//! `service` → `router` → `fault_injection` → `handlers` → `store` or `upload`, and back through
//! `delivery`.

mod checksum;
mod content_range;
mod context;
mod delivery;
mod error;
mod fault_injection;
mod faults;
mod handlers;
mod http;
mod object;
mod parsed_request;
mod precondition;
mod recording;
mod request_handler;
mod router;
mod service;
mod shutdown;
mod store;
mod upload;
mod worker_pool;

#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

use socket2::SockRef;
use thiserror::Error;

pub use self::faults::{
    Action, Break, Faults, Processing, RawResponse, RecordedRequest, RequestKind, Rule, Target,
    Violation,
};

use self::context::Context;
use self::request_handler::{LIMITS, RequestHandler};
use self::service::Service;
use self::shutdown::ShutdownSignal;
use self::store::Store;
use self::upload::Sessions;
use self::worker_pool::WorkerPool;
use crate::http::acceptor::{self, Acceptor};
use crate::http::dispatch::Dispatcher;

/// The requested size of receive buffers. The kernel doubles it.
///
/// Small, because their content is lost when a connection breaks: with Cloud Storage that is little,
/// with the default buffers of two local sockets it is a lot.
const RECEIVE_BUFFER_SIZE: usize = 32 << 10;

/// Configuration of an emulator.
#[derive(Clone, Debug)]
pub struct Config {
    /// The address to listen on; port 0 selects a free port.
    pub listen: SocketAddr,
    /// The storage for objects.
    pub store: StoreKind,
    /// Buckets to create at the start, unless they exist.
    pub buckets: Vec<String>,
}

/// The storage for objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// Memory. Objects are lost when the emulator stops.
    Memory,
    /// A directory, which is created if it does not exist. The object `a/b` of a bucket is the file
    /// `bucket/a/b`; its metadata is in the hidden folder `bucket/.emulator`. Files that the emulator
    /// did not create are not listed and never touched.
    Directory(PathBuf),
}

/// The reason why an emulator could not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The address is in use, does not belong to this machine, or is not permitted.
    #[error("the emulator cannot listen on {addr}: {source}")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The directory cannot be read or written, or another emulator uses it.
    #[error("the emulator's directory {0}")]
    Directory(String),
    /// A bucket cannot be created.
    #[error("the emulator cannot create the bucket {name:?}: {reason}")]
    Bucket {
        /// The bucket's name.
        name: String,
        /// The reason.
        reason: String,
    },
    /// No thread or socket is available.
    #[error("the emulator cannot start its threads: {0}")]
    Threads(io::Error),
}

/// Summary of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectSummary {
    /// The full name.
    pub name: String,
    /// The size in bytes.
    pub size: u64,
    /// The CRC32C of the content.
    pub crc32c: u32,
    /// The generation, which distinguishes successive objects of the same name.
    pub generation: u64,
}

/// A running emulator. Stops on drop, within seconds, whatever its clients do.
pub struct Emulator {
    addr: SocketAddr,
    service: Arc<Service>,
    handler: Arc<RequestHandler>,
    /// `None` once the emulator has stopped.
    server: Option<(Acceptor, Dispatcher)>,
}

impl Emulator {
    /// Starts an emulator.
    ///
    /// # Errors
    /// The address, the directory or a bucket's name cannot be used, or no threads are available.
    pub fn start(config: Config) -> Result<Self, StartError> {
        let store = match config.store {
            StoreKind::Memory => Store::in_memory(),
            StoreKind::Directory(root) => Store::in_directory(root)
                .map_err(|error| StartError::Directory(error.to_string()))?,
        };
        for name in config.buckets {
            match store.create_bucket(&name) {
                Err(error) if error.status != 409 => {
                    return Err(StartError::Bucket { name, reason: error.message });
                }
                _ => {}
            }
        }
        let listener = acceptor::listen(config.listen)
            .map_err(|source| StartError::Listen { addr: config.listen, source })?;
        Self::run(store, listener).map_err(StartError::Threads)
    }

    fn run(store: Store, listener: TcpListener) -> io::Result<Self> {
        // Accepted sockets inherit it.
        SockRef::from(&listener).set_recv_buffer_size(RECEIVE_BUFFER_SIZE)?;
        let addr = listener.local_addr()?;
        let shutdown = Arc::new(ShutdownSignal::default());
        let context = Context { store, sessions: Sessions::default(), faults: Faults::default() };
        let service = Arc::new(Service { context, addr, shutdown: Arc::clone(&shutdown) });
        let workers = WorkerPool::new(Arc::clone(&service));
        let handler = Arc::new(RequestHandler { workers, shutdown });
        let dispatcher = Dispatcher::start()?;
        match Acceptor::start(listener, dispatcher.sender(handler.clone()), LIMITS) {
            Ok(acceptor) => {
                Ok(Self { addr, service, handler, server: Some((acceptor, dispatcher)) })
            }
            Err(error) => {
                dispatcher.stop();
                Err(error)
            }
        }
    }

    /// The address that it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The URL on this machine, as STORAGE_EMULATOR_HOST expects it: `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", reachable(self.addr))
    }

    /// Injected faults, and the record of requests.
    pub fn faults(&self) -> &Faults {
        &self.service.context.faults
    }

    /// Returns all objects of a bucket, sorted by name; none if the bucket does not exist.
    pub fn objects(&self, bucket: &str) -> Vec<ObjectSummary> {
        let objects = self.service.context.store.objects(bucket);
        let summaries = objects.iter().map(|object| ObjectSummary {
            name: object.name().to_owned(),
            size: object.size,
            crc32c: object.checksums.crc32c,
            generation: object.version.generation,
        });
        summaries.collect()
    }

    /// Returns the content of an object; `None` if it does not exist or its file cannot be read.
    pub fn content(&self, bucket: &str, name: &str) -> Option<Vec<u8>> {
        match self.service.context.store.content(bucket, name)? {
            Ok(content) => Some(content),
            Err(error) => {
                log::error!("emulator: could not read {bucket}/{name}: {error}");
                None
            }
        }
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // First, so that threads that stall end, and send no response.
        self.service.shutdown.set();
        if let Some((acceptor, dispatcher)) = self.server.take() {
            acceptor.abort();
            dispatcher.stop();
            self.handler.workers.stop();
        }
    }
}

impl fmt::Debug for Emulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emulator").field("addr", &self.addr).finish_non_exhaustive()
    }
}

/// Returns the address at which a listener on `addr` is reachable from this machine.
///
/// An unspecified address (0.0.0.0) becomes the loopback address.
fn reachable(addr: SocketAddr) -> SocketAddr {
    let ip = match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, addr.port())
}
