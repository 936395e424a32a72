//! One HTTP request and its response, as an upload needs them. What carries them is [`http`]'s
//! business in production, and a script's in tests.
//!
//! [`http`]: super::http

use std::time::Duration;

use thiserror::Error;

use crate::content::Content;

use super::Observer;

/// Carries requests to Cloud Storage and brings the answers back.
pub trait Transport: Send + Sync {
    /// Sends `request` and waits for the response; any status is a response.
    ///
    /// # Errors
    /// When there is none. The request may or may not have been carried out.
    fn send(&self, request: &Request<'_>) -> Result<Response, TransportError>;

    /// Breaks off the exchanges under way with [`TransportError::Interrupted`]; so ends every later
    /// one, too, unless it is [urgent](Request::urgent).
    fn interrupt(&self);
}

/// The methods that are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Opens a session.
    Post,
    /// Sends to a session, or asks it.
    Put,
    /// Cancels a session, or deletes an object.
    Delete,
}

impl Method {
    /// As it stands in a request line.
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
    /// Its method.
    pub method: Method,
    /// Its URL. May hold a secret in its query.
    pub url: &'a str,
    /// Its header fields, but for those that follow from the body. May hold a token.
    pub headers: Vec<(&'a str, String)>,
    /// Its body.
    pub body: Body<'a>,
    /// How long it may take, from resolving the name to the response's last byte.
    pub timeout: Duration,
    /// Whether it is carried out even after [`Transport::interrupt`].
    pub urgent: bool,
}

/// A request's body.
pub enum Body<'a> {
    /// None: `Content-Length: 0` where the method could have one.
    Empty,
    /// These bytes.
    Bytes(&'a [u8]),
    /// The content from `offset` to its end.
    Rest {
        /// What is sent.
        content: &'a dyn Content,
        /// Where it begins.
        offset: u64,
        /// Hears of every byte that goes out.
        observer: &'a dyn Observer,
    },
    /// A part of a stream.
    Part {
        /// Its bytes.
        bytes: &'a [u8],
        /// Hears of every byte that goes out.
        observer: &'a dyn Observer,
    },
}

/// a response: as much of it as an upload looks at.
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
    /// The body, as far as it came and is looked at: [`MAX_BODY`] bytes at the most.
    pub body: Vec<u8>,
}

/// How much of a response's body is read, in bytes. An object's metadata is a few KiB.
pub const MAX_BODY: usize = 64 << 10;

/// Why there is no response. The texts name no URL.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TransportError {
    /// The host's name was not resolved, or no connection made.
    #[error("could not connect: {0}")]
    Connect(String),
    /// The server's certificate was not accepted, or TLS cannot be spoken with it.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// Nothing moved for too long.
    #[error("nothing moved for too long ({0})")]
    Stalled(String),
    /// The request's own time was over.
    #[error("the time was over")]
    TimedOut,
    /// [`Transport::interrupt`] was called.
    #[error("interrupted")]
    Interrupted,
    /// The request could not be made, or the response is not HTTP.
    #[error("{0}")]
    Protocol(String),
    /// The content could not be read.
    #[error("the content could not be read: {0}")]
    Content(String),
}
