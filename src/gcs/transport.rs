//! HTTP requests and responses, as uploads need them. [`http`] sends them in production, a script
//! in tests.
//!
//! [`http`]: super::http

use std::time::Duration;

use thiserror::Error;

use crate::content::Content;

use super::Observer;

/// Sends requests to Cloud Storage and returns the responses.
pub trait Transport: Send + Sync {
    /// Sends `request` and waits for the response. A response with any status is `Ok`.
    ///
    /// # Errors
    /// No response was received. The server may have processed the request nevertheless.
    fn send(&self, request: &Request<'_>) -> Result<Response, TransportError>;

    /// Aborts running requests with [`TransportError::Interrupted`]. Later requests fail in the
    /// same way, unless they are [urgent](Request::urgent).
    fn interrupt(&self);
}

/// The HTTP methods in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Gets metadata.
    Get,
    /// Opens a session.
    Post,
    /// Sends bytes to a session or queries its status.
    Put,
    /// Cancels a session, or deletes an object.
    Delete,
}

impl Method {
    /// Returns its name in a request line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }
}

/// A request.
pub struct Request<'a> {
    /// Method.
    pub method: Method,
    /// URL. Its query may contain a secret.
    pub url: &'a str,
    /// Header fields, without those that follow from the body. They may contain a token.
    pub headers: Vec<(&'a str, String)>,
    /// Body.
    pub body: Body<'a>,
    /// Time limit, from name resolution to the last byte of the response.
    pub timeout: Duration,
    /// True if the request is sent even after [`Transport::interrupt`].
    pub urgent: bool,
}

/// Body of a request.
pub enum Body<'a> {
    /// No body: `Content-Length: 0` for methods that can have one.
    Empty,
    /// These bytes.
    Bytes(&'a [u8]),
    /// The content from `offset` to its end.
    Rest {
        /// The content.
        content: &'a dyn Content,
        /// Offset of the first byte.
        offset: u64,
        /// Receives the number of bytes sent.
        observer: &'a dyn Observer,
    },
    /// A part of a stream.
    Part {
        /// Its bytes.
        bytes: &'a [u8],
        /// Receives the number of bytes sent.
        observer: &'a dyn Observer,
    },
}

/// The parts of a response that uploads need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// `Location`.
    pub location: Option<String>,
    /// `Range`.
    pub range: Option<String>,
    /// `Retry-After`.
    pub retry_after: Option<String>,
    /// Beginning of the body, at most [`MAX_BODY`] bytes.
    pub body: Vec<u8>,
}

/// Maximum length of a response body that is read, in bytes. The metadata of an object takes a few
/// KiB.
pub const MAX_BODY: usize = 64 << 10;

/// Error of a request without response. The text contains no URL.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TransportError {
    /// The host name was not resolved, or no connection could be made.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// The certificate was rejected, or the TLS handshake failed.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// The connection was lost.
    #[error("connection lost: {0}")]
    Broken(String),
    /// No bytes moved for too long.
    #[error("connection stalled ({0})")]
    Stalled(String),
    /// The request exceeded its time limit.
    #[error("timed out")]
    TimedOut,
    /// [`Transport::interrupt`] was called.
    #[error("interrupted")]
    Interrupted,
    /// The request is invalid, or the response is not HTTP.
    #[error("{0}")]
    Protocol(String),
    /// The content could not be read.
    #[error("cannot read the content: {0}")]
    Content(String),
}
