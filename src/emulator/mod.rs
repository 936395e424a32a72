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
//! tiny_http aborts the process on some malicious requests (a newer HTTP version with an enormous
//! Content-Length). This is another reason to listen on loopback only.
//!
//! The path of a request: `wire` (relay) → tiny_http → `dispatch` (threads) → `service` → `router` →
//! `fault_injection` → `handlers` → `store` or `upload`.

mod checksum;
mod content_range;
mod context;
mod dispatch;
mod error;
mod fault_injection;
mod faults;
mod handlers;
mod http;
mod object;
mod parsed_request;
mod precondition;
mod recording;
mod router;
mod service;
mod shutdown;
mod store;
mod upload;
mod wire;

#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use socket2::SockRef;
use thiserror::Error;

pub use self::faults::{
    Action, Faults, Processing, RawResponse, RecordedRequest, RequestKind, Rule, Target, Violation,
};
pub use self::wire::Break;

use self::context::Context;
use self::dispatch::RestartingServer;
use self::service::Service;
use self::shutdown::ShutdownSignal;
use self::store::Store;
use self::upload::Sessions;
use self::wire::Relay;

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
    server: Arc<RestartingServer>,
    dispatcher: Option<JoinHandle<()>>,
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
        let listen =
            |addr| TcpListener::bind(addr).map_err(|source| StartError::Listen { addr, source });
        let public = listen(config.listen)?;
        let internal = listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        Self::run(store, public, internal).map_err(StartError::Threads)
    }

    fn run(store: Store, public: TcpListener, internal: TcpListener) -> io::Result<Self> {
        // Accepted sockets inherit these options. No delay, because tiny_http writes a response in
        // several pieces. Small buffers, because their content is lost when a connection breaks: with
        // Cloud Storage that is little, with the default buffers of two local sockets it is a lot.
        SockRef::from(&internal).set_tcp_nodelay(true)?;
        SockRef::from(&internal).set_recv_buffer_size(wire::SOCKET_BUFFER_SIZE)?;
        SockRef::from(&public).set_recv_buffer_size(wire::SOCKET_BUFFER_SIZE)?;
        let shutdown = Arc::new(ShutdownSignal::default());
        let internal_addr = internal.local_addr()?;
        let server = Arc::new(RestartingServer::start(internal, Arc::clone(&shutdown))?);
        let relay = Relay::start(public, internal_addr)?;
        let addr = relay.addr();
        let context = Context { store, sessions: Sessions::default(), faults: Faults::default() };
        let service = Arc::new(Service { context, relay, shutdown });
        let dispatcher = thread::Builder::new().name("emulator-dispatch".to_owned()).spawn({
            let (server, service) = (Arc::clone(&server), Arc::clone(&service));
            move || dispatch::dispatch(&server, &service)
        })?;
        Ok(Self { addr, service, server, dispatcher: Some(dispatcher) })
    }

    /// The address that it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The URL on this machine, as STORAGE_EMULATOR_HOST expects it: `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", wire::reachable(self.addr))
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
        // The relay first, so that no client gets a response that is only caused by the shutdown.
        self.service.relay.stop();
        self.service.shutdown.set();
        self.server.unblock();
        if let Some(dispatcher) = self.dispatcher.take()
            && dispatcher.join().is_err()
        {
            log::error!("emulator: dispatch thread panicked");
        }
    }
}

impl fmt::Debug for Emulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emulator").field("addr", &self.addr).finish_non_exhaustive()
    }
}
