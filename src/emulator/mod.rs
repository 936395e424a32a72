//! A local stand-in for Cloud Storage: the part of its JSON API that a Google client needs to make
//! buckets and to upload, read, list and delete objects, with the behaviour that Cloud Storage
//! documents where other stand-ins depart from it.
//!
//! It is for development and for tests: it knows no identities and lets everybody do everything, so
//! it should listen where only its user can reach it. Objects live in memory or in a directory
//! ([`StoreKind`]). Faults can be ordered for any request, and what was seen is recorded
//! ([`Faults`]).
//!
//! It shares no code with the client in this crate, so that each can find the other's mistakes. It
//! does not do: versions other than the live one, access control, changes of metadata, composing
//! and copying, gzip transcoding, sessions that survive a restart, the XML and gRPC APIs. Most of
//! its work on an upload is the MD5 that clients expect of an object.
//!
//! Its HTTP library would abort the process on some requests of a hostile peer (a newer HTTP version
//! with an enormous Content-Length): another reason to listen on loopback only.

mod checksum;
mod content_range;
mod dispatch;
mod download;
mod error;
mod faults;
mod http;
mod object;
mod operation;
mod precondition;
mod service;
mod stop;
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
    Action, Faults, Processing, RawAnswer, RequestKind, Rule, SeenRequest, Target, Violation,
};
pub use self::wire::Break;

use self::dispatch::Library;
use self::service::Service;
use self::stop::Stop;
use self::store::Store;
use self::upload::Sessions;
use self::wire::Wire;

/// How an emulator is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it listens; port 0: any free one.
    pub listen: SocketAddr,
    /// Where objects live.
    pub store: StoreKind,
    /// Buckets that are made at the start unless they are there.
    pub buckets: Vec<String>,
}

/// Where objects live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// In memory: gone with the emulator.
    Memory,
    /// In this directory, which is made if need be: the object `a/b` of a bucket is the file
    /// `bucket/a/b` in it, and what is known of it lies in the hidden folder `bucket/.emulator`.
    /// Files that the emulator has not made are not shown, and never touched.
    Directory(PathBuf),
}

/// Why an emulator does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The address is in use, not one of this machine's, or not allowed.
    #[error("the emulator cannot listen on {addr}: {source}")]
    Listen {
        /// What was asked for.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The directory cannot be read or written, or another emulator uses it.
    #[error("the emulator's directory {0}")]
    Directory(String),
    /// A bucket cannot be made.
    #[error("the emulator cannot make the bucket {name:?}: {reason}")]
    Bucket {
        /// What was asked for.
        name: String,
        /// Why not.
        reason: String,
    },
    /// The system gave no thread or no socket.
    #[error("the emulator cannot start its threads: {0}")]
    Threads(io::Error),
}

/// An object, in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectSummary {
    /// Its whole name.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// CRC32C of its content.
    pub crc32c: u32,
    /// Which of the objects that ever had this name it is.
    pub generation: u64,
}

/// An emulator that runs; stops when dropped, within seconds whatever its clients do.
pub struct Emulator {
    addr: SocketAddr,
    service: Arc<Service>,
    library: Arc<Library>,
    dispatcher: Option<JoinHandle<()>>,
}

impl Emulator {
    /// Starts to listen, and answers requests from then on.
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
        let outside = listen(config.listen)?;
        let inside = listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        Self::run(store, outside, inside).map_err(StartError::Threads)
    }

    fn run(store: Store, outside: TcpListener, inside: TcpListener) -> io::Result<Self> {
        // What is accepted inherits these. The library writes an answer in several pieces; and what
        // lies between a client and its session is lost when a connection breaks: little, as with
        // Cloud Storage, and not what two connections on one machine would hold.
        SockRef::from(&inside).set_tcp_nodelay(true)?;
        SockRef::from(&inside).set_recv_buffer_size(wire::IN_FLIGHT)?;
        SockRef::from(&outside).set_recv_buffer_size(wire::IN_FLIGHT)?;
        let stop = Arc::new(Stop::default());
        let inside_addr = inside.local_addr()?;
        let library = Arc::new(Library::start(inside, Arc::clone(&stop))?);
        let wire = Wire::start(outside, inside_addr)?;
        let addr = wire.addr();
        let service = Arc::new(Service {
            store,
            sessions: Sessions::default(),
            faults: Faults::default(),
            wire,
            stop,
        });
        let dispatcher = thread::Builder::new().name("emulator-dispatch".to_owned()).spawn({
            let (library, service) = (Arc::clone(&library), Arc::clone(&service));
            move || dispatch::dispatch(&library, &service)
        })?;
        Ok(Self { addr, service, library, dispatcher: Some(dispatcher) })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its URL on this machine, as STORAGE_EMULATOR_HOST takes it: `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", wire::reachable(self.addr))
    }

    /// Orders faults, and tells what was seen.
    pub fn faults(&self) -> &Faults {
        &self.service.faults
    }

    /// Every object of a bucket, in the order of their names; none if there is no such bucket.
    pub fn objects(&self, bucket: &str) -> Vec<ObjectSummary> {
        let objects = self.service.store.all(bucket);
        let summaries = objects.iter().map(|object| ObjectSummary {
            name: object.name().to_owned(),
            size: object.size,
            crc32c: object.checksums.crc32c,
            generation: object.version.generation,
        });
        summaries.collect()
    }

    /// The content of an object; `None` if there is none of this name, or its file cannot be read.
    pub fn content(&self, bucket: &str, name: &str) -> Option<Vec<u8>> {
        match self.service.store.content(bucket, name)? {
            Ok(content) => Some(content),
            Err(error) => {
                log::error!("emulator: {bucket}/{name} cannot be read: {error}");
                None
            }
        }
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // The wire first: nobody gets an answer that comes only because the emulator stops.
        self.service.wire.stop();
        self.service.stop.set();
        self.library.unblock();
        if let Some(dispatcher) = self.dispatcher.take()
            && dispatcher.join().is_err()
        {
            log::error!("emulator: the dispatcher panicked");
        }
    }
}

impl fmt::Debug for Emulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emulator").field("addr", &self.addr).finish_non_exhaustive()
    }
}
