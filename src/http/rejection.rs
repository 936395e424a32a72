//! Rejections: requests that the wire does not pass on to the handler.

use std::net::IpAddr;

use super::request_id::RequestId;

/// Request that is not passed on, or could not be responded to.
#[derive(Debug)]
pub(crate) struct Rejection {
    pub(crate) reason: RejectionReason,
    /// Sentence for a person.
    pub(crate) detail: String,
    /// Limit that was exceeded, in bytes.
    pub(crate) maximum: Option<u64>,
    pub(crate) request_id: RequestId,
    /// Address of the client, once known.
    pub(crate) peer: Option<IpAddr>,
}

/// Kind of rejection, with the status code that RFC 9110 or RFC 6585 gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RejectionReason {
    /// 400: the request is not valid HTTP/1.1.
    MalformedRequest,
    /// 400: the end of the body could be read in two ways.
    AmbiguousBody,
    /// 408: the request did not arrive in time.
    RequestTimeout,
    /// 411: a chunked body where no body is read.
    ChunkedBody,
    /// 413: a long body where no body is read.
    BodyTooLarge,
    /// 414: the target is too long.
    TargetTooLong,
    /// 417: an expectation that cannot be met.
    ExpectationFailed,
    /// 431: the head is too long, or has too many headers.
    HeadTooLarge,
    /// 500: the handler did not respond.
    Internal,
    /// 501: a transfer coding other than chunked.
    TransferCoding,
    /// 503: the maximum number of connections is open.
    TooManyConnections,
    /// 505: another version than HTTP/1.0 or HTTP/1.1.
    HttpVersion,
}

impl Rejection {
    pub(crate) fn new(reason: RejectionReason, detail: impl Into<String>) -> Self {
        let request_id = RequestId::random();
        Self { reason, detail: detail.into(), maximum: None, request_id, peer: None }
    }

    pub(crate) fn with_maximum(self, maximum: u64) -> Self {
        Self { maximum: Some(maximum), ..self }
    }
}
