//! The client of Cloud Storage: puts an object into a bucket over a resumable session, and holds
//! what it promises whatever happens on the way.
//!
//! This room knows no HTTP server, reads no environment, and never lets a session's URI, a token
//! or a key out: not in an error, not in a log line.

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

/// What became of an upload that succeeded.
#[derive(Clone, Debug)]
pub struct Uploaded {
    /// The object as Cloud Storage describes it; its size and CRC32C are those that were sent.
    pub object: Object,
    /// How often the transfer went on from an offset after a fault.
    pub resumed: u32,
    /// How many requests were made again.
    pub retried: u32,
    /// How many bytes of content were handed to the network, those sent again included.
    pub bytes_sent: u64,
    /// From the first request to the last answer.
    pub elapsed: Duration,
}

/// Puts objects into one bucket. The server and the command line know the client by this alone.
pub trait Uploader: Send + Sync {
    /// Puts `content` into the bucket as `object`, within `timeout`; blocks until it is there or
    /// cannot be.
    ///
    /// # Errors
    /// No object exists under that name by this call, unless the error's
    /// [`kind`](UploadError::kind) says that this could not be established.
    fn upload(
        &self,
        object: &NewObject,
        content: &dyn Content,
        timeout: Duration,
        observer: &dyn Observer,
    ) -> Result<Uploaded, UploadError>;

    /// Puts what `source` yields up to its end into the bucket as `object`; blocks until it is there
    /// or cannot be.
    ///
    /// The source is not read before Cloud Storage has said that the name is free, nor while bytes
    /// are being sent: it is read for a part of `window` bytes, and then for the byte after that;
    /// then the part is sent. `timeout` bounds how long each part may take to come, and how long
    /// until Cloud Storage has it. A source that blocks for longer than that is waited for.
    ///
    /// # Errors
    /// As with [`upload`](Self::upload), and where the source fails: [`ErrorKind::Source`].
    fn upload_stream(
        &self,
        object: &NewObject,
        source: &mut dyn Source,
        window: Window,
        timeout: Duration,
        observer: &dyn Observer,
    ) -> Result<Uploaded, UploadError>;

    /// A random file of `size` bytes whose session is open already, if there is one at hand, for
    /// [`upload_pooled`](Self::upload_pooled). Its object has this metadata, whose keys and
    /// values must be fit for a header field, and its seed. Does not block.
    fn take_pooled(
        &self,
        _metadata: &BTreeMap<String, String>,
        _size: u64,
    ) -> Option<PooledUpload> {
        None
    }

    /// As [`upload`](Self::upload): should the session be of no use, with another one.
    ///
    /// # Errors
    /// As [`upload`](Self::upload).
    fn upload_pooled(
        &self,
        file: &PooledUpload,
        timeout: Duration,
        observer: &dyn Observer,
    ) -> Result<Uploaded, UploadError> {
        self.upload(file.object(), file.content(), timeout, observer)
    }

    /// Prepares no more files, and cancels the sessions of those that are prepared, within seconds.
    /// Uploads go on.
    fn close_pool(&self) {}

    /// Ends the uploads that are under way, in whatever threads: each cancels its session and
    /// returns [`ErrorKind::Interrupted`] within seconds, or once its source has returned. So does
    /// every later upload.
    fn interrupt(&self);

    /// `Ok` when an upload that starts now may hope to succeed; else why not, for a person.
    /// Answers from what is known: makes no request and does not block.
    fn ready(&self) -> Result<(), String>;

    /// When the access token at hand expires, if there is one and it does.
    fn token_expiry(&self) -> Option<SystemTime>;
}
