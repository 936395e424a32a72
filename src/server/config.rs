//! Server configuration.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use super::auth::Authenticator;
use crate::content::{ByteSize, ObjectPrefix};
use crate::gcs::Window;

/// Server configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Address to listen on. Port 0 takes any free one, see [`Server::local_addr`](super::Server::local_addr).
    pub listen: SocketAddr,
    /// Address of a listener for metrics, health and readiness, which then alone has the metrics;
    /// port 0 takes any free one. `None`: metrics are at the main listener.
    pub metrics_listen: Option<SocketAddr>,
    /// Uploads that run at the same time.
    pub workers: NonZeroUsize,
    /// Threads of the uploader that talk to Cloud Storage beside the workers.
    pub pool_threads: usize,
    /// Uploads that may wait for a worker. With 0, an upload is accepted only if a worker is idle.
    pub queue_depth: usize,
    /// Connections that may be open at the same time; fewer if the process may not have as many
    /// descriptors as that takes.
    pub max_connections: NonZeroUsize,
    /// Size of a random file if the request has none.
    pub upload_size: ByteSize,
    /// Maximum size of a file.
    pub max_upload_size: ByteSize,
    /// Part of a client's file that each worker keeps until Cloud Storage has it.
    pub upload_window: Window,
    /// Prefix of the objects' names.
    pub object_prefix: ObjectPrefix,
    /// Name of the bucket, for documents and the log.
    pub bucket: String,
    /// Time for one upload, from its start by a worker.
    pub upload_timeout: Duration,
    /// Time for uploads to finish after the server was told to stop. Those that have not finished by
    /// then are cancelled, which may take up to 20 seconds more if the network is down.
    pub drain_timeout: Duration,
    /// Authentication of clients.
    pub auth: Authenticator,
    /// Base of the objects' URLs: `https://storage.googleapis.com`, or an emulator's.
    pub endpoint: String,
}
