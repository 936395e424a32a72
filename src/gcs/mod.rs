//! Client for Cloud Storage. Uploads objects to a bucket over resumable sessions; each upload
//! either completes exactly once or fails with a reason.
//!
//! This module depends on no HTTP server and reads no environment variables. It never exposes a
//! session URI, a token or a key, neither in errors nor in log lines.

mod backoff;
mod bucket;
mod client;
pub mod clock;
pub mod credentials;
mod endpoint;
mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod http;
mod message;
mod object;
mod observer;
#[cfg(test)]
mod script;
mod session;
mod session_pool;
pub mod transport;
mod upload;
mod verdict;
mod window;

pub use bucket::{Bucket, RetryConfig};
pub use client::Client;
pub use endpoint::{Endpoint, EndpointError};
pub use error::{ErrorKind, UploadError};
pub use object::{NewObject, Object};
pub use observer::{Observer, RetryCause};
pub use session_pool::{PooledUpload, SessionPoolConfig};
pub use window::{Window, WindowError};

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use crate::content::{Content, Source};

/// Result of a successful upload.
#[derive(Clone, Debug)]
pub struct Uploaded {
    /// The object as described by Cloud Storage. Its size and CRC32C match the content sent.
    pub object: Object,
    /// Number of times the transfer was resumed from an offset after a fault.
    pub resumed: u32,
    /// Number of requests that were retried.
    pub retried: u32,
    /// Bytes of content handed to the network, including bytes sent more than once.
    pub bytes_sent: u64,
    /// Time from the first request to the last response.
    pub elapsed: Duration,
}

/// Uploads objects to one bucket. The server and the command line use the client only through this
/// trait.
pub trait Uploader: Send + Sync {
    /// Uploads `content` as `object`. Blocks until the upload has completed or failed, for about
    /// `timeout` at most.
    ///
    /// # Errors
    /// After an error, this call has left no object behind, unless [`UploadError::absent`] is
    /// false.
    fn upload(
        &self,
        object: &NewObject,
        content: &dyn Content,
        timeout: Duration,
        observer: &dyn Observer,
    ) -> Result<Uploaded, UploadError>;

    /// Uploads the bytes of `source`, read to its end, as `object`. Blocks until the upload has
    /// completed or failed.
    ///
    /// The source is first read after Cloud Storage has accepted the name, and never while bytes
    /// are being sent. It is read for a part of `window` bytes and one byte more; then the part is
    /// sent. `timeout` bounds the time to read each part and, separately, the time to store it. A
    /// read that blocks for longer than that is not interrupted.
    ///
    /// # Errors
    /// The errors of [`upload`](Self::upload), and [`ErrorKind::Source`] if the source fails.
    fn upload_stream(
        &self,
        object: &NewObject,
        source: &mut dyn Source,
        window: Window,
        timeout: Duration,
        observer: &dyn Observer,
    ) -> Result<Uploaded, UploadError>;

    /// Takes a random file of `size` bytes whose session is already open, for
    /// [`upload_pooled`](Self::upload_pooled). Returns `None` if no session is available. The
    /// object has this metadata, whose keys and values must be valid in a header field, and its
    /// seed. Does not block.
    fn take_pooled(
        &self,
        _metadata: &BTreeMap<String, String>,
        _size: u64,
    ) -> Option<PooledUpload> {
        None
    }

    /// Uploads a pooled file like [`upload`](Self::upload). If its session is unusable, opens
    /// another one.
    ///
    /// # Errors
    /// The errors of [`upload`](Self::upload).
    fn upload_pooled(
        &self,
        file: &PooledUpload,
        timeout: Duration,
        observer: &dyn Observer,
    ) -> Result<Uploaded, UploadError> {
        self.upload(file.object(), file.content(), timeout, observer)
    }

    /// Opens no more sessions in advance and cancels the unused ones, within seconds. Uploads
    /// continue.
    fn close_pool(&self) {}

    /// Interrupts running uploads on all threads. Each cancels its session and returns
    /// [`ErrorKind::Interrupted`] within seconds, or as soon as its source has returned. Later
    /// uploads fail in the same way.
    fn interrupt(&self);

    /// Returns `Ok` if an upload that starts now can be expected to succeed, otherwise a readable
    /// reason. Makes no request and does not block.
    fn ready(&self) -> Result<(), String>;

    /// Expiry time of the current access token, if there is a token and it expires.
    fn token_expiry(&self) -> Option<SystemTime>;
}
