//! Errors of the API: RFC 9457, `application/problem+json`.
//!
//! The `type` of a problem is stable: clients may branch on it. Its `detail` is for a person.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::http::rejection::{Rejection, RejectionReason};
use crate::http::request_id::RequestId;
use crate::http::response::Response;
use crate::redact::without_tokens;

/// Problem type (RFC 9457, section 3.1.1).
#[derive(Debug)]
pub(crate) struct ProblemType {
    /// Last part of the type's URI.
    pub(crate) slug: &'static str,
    pub(crate) title: &'static str,
    pub(crate) status: u16,
}

/// Declares the problem types, and the list of all of them for the API's description.
macro_rules! problem_types {
    ($($name:ident: $status:literal, $slug:literal, $title:literal;)*) => {
        $(pub(crate) const $name: ProblemType =
            ProblemType { slug: $slug, title: $title, status: $status };)*

        /// All problem types.
        pub(crate) const ALL: &[ProblemType] = &[$($name),*];
    };
}

problem_types! {
    BAD_PARAMETER: 400, "bad-parameter", "Invalid query parameter";
    MALFORMED_REQUEST: 400, "malformed-request", "Malformed request";
    AMBIGUOUS_BODY: 400, "ambiguous-body", "Ambiguous request body";
    BAD_AUTHORIZATION: 400, "bad-authorization", "Invalid Authorization header";
    BAD_CONTENT_TYPE: 400, "bad-content-type", "Invalid Content-Type";
    BAD_CONTENT_DISPOSITION: 400, "bad-content-disposition", "Invalid Content-Disposition";
    BAD_CHECKSUM: 400, "bad-checksum", "Invalid checksum header";
    BAD_NAME: 400, "bad-name", "Invalid object name";
    CONTENT_RANGE: 400, "content-range", "Partial upload not supported";
    INCOMPLETE_BODY: 400, "incomplete-body", "Incomplete request body";
    MALFORMED_BODY: 400, "malformed-body", "Malformed request body";
    BAD_IDEMPOTENCY_KEY: 400, "bad-idempotency-key", "Invalid Idempotency-Key";
    UNAUTHORIZED: 401, "unauthorized", "Authentication required";
    FORBIDDEN: 403, "forbidden", "Insufficient scope of the token";
    NOT_FOUND: 404, "not-found", "Path not found";
    UNKNOWN_UPLOAD: 404, "unknown-upload", "Upload not found";
    METHOD_NOT_ALLOWED: 405, "method-not-allowed", "Method not allowed";
    REQUEST_TIMEOUT: 408, "request-timeout", "Request timed out";
    OBJECT_EXISTS: 409, "object-exists", "Object already exists";
    LENGTH_REQUIRED: 411, "length-required", "Missing request body";
    CHUNKED_BODY: 411, "chunked-body", "Chunked request body not supported here";
    SIZE_TOO_LARGE: 413, "size-too-large", "Size too large";
    BODY_TOO_LARGE: 413, "body-too-large", "Request body too large";
    TARGET_TOO_LONG: 414, "target-too-long", "Path and query too long";
    CONTENT_CODING: 415, "content-coding", "Content coding not supported";
    EXPECTATION_FAILED: 417, "expectation-failed", "Expectation failed";
    CHECKSUM_MISMATCH: 422, "checksum-mismatch", "Checksum mismatch";
    IDEMPOTENCY_KEY_REUSED: 422, "idempotency-key-reused", "Idempotency-Key was used for another upload";
    HEAD_TOO_LARGE: 431, "head-too-large", "Request head too large";
    INTERNAL: 500, "internal", "Internal server error";
    TRANSFER_CODING: 501, "transfer-coding", "Transfer coding not supported";
    STORAGE_REFUSED: 502, "storage-refused", "Cloud Storage refused the upload";
    NAME_TAKEN: 502, "name-taken", "Object name already taken";
    NO_CREDENTIALS: 502, "no-credentials", "No credentials for Cloud Storage";
    STORAGE_UNINTELLIGIBLE: 502, "storage-unintelligible", "Unexpected response from Cloud Storage";
    STORAGE_LOST: 502, "storage-lost", "Cloud Storage lost part of the upload";
    NOT_READY: 503, "not-ready", "Not ready for uploads";
    QUEUE_FULL: 503, "queue-full", "Upload queue is full";
    DRAINING: 503, "draining", "The server is shutting down";
    TOO_MANY_CONNECTIONS: 503, "too-many-connections", "Too many connections";
    INTERRUPTED: 503, "interrupted", "The upload was interrupted";
    STORAGE_TIMED_OUT: 504, "storage-timed-out", "Cloud Storage timed out";
    HTTP_VERSION: 505, "http-version", "HTTP version not supported";
}

impl ProblemType {
    /// Returns the URI of the type.
    pub(crate) fn uri(&self) -> String {
        format!("urn:gcs-uploader:problem:{}", self.slug)
    }

    /// Returns the type of a rejected request.
    pub(crate) fn of(reason: RejectionReason) -> &'static Self {
        match reason {
            RejectionReason::MalformedRequest => &MALFORMED_REQUEST,
            RejectionReason::AmbiguousBody => &AMBIGUOUS_BODY,
            RejectionReason::RequestTimeout => &REQUEST_TIMEOUT,
            RejectionReason::ChunkedBody => &CHUNKED_BODY,
            RejectionReason::BodyTooLarge => &BODY_TOO_LARGE,
            RejectionReason::TargetTooLong => &TARGET_TOO_LONG,
            RejectionReason::ExpectationFailed => &EXPECTATION_FAILED,
            RejectionReason::HeadTooLarge => &HEAD_TOO_LARGE,
            RejectionReason::Internal => &INTERNAL,
            RejectionReason::TransferCoding => &TRANSFER_CODING,
            RejectionReason::TooManyConnections => &TOO_MANY_CONNECTIONS,
            RejectionReason::HttpVersion => &HTTP_VERSION,
        }
    }
}

/// Error response to a request.
#[derive(Debug, Serialize)]
pub(crate) struct Problem {
    #[serde(rename = "type")]
    uri: String,
    title: &'static str,
    status: u16,
    detail: String,
    #[serde(flatten)]
    members: Map<String, Value>,
    #[serde(skip)]
    headers: Vec<(&'static str, String)>,
}

impl Problem {
    /// Creates a problem. The detail may quote what a client sent: tokens in it are masked.
    pub(crate) fn new(kind: &ProblemType, detail: impl Into<String>) -> Self {
        Self {
            uri: kind.uri(),
            title: kind.title,
            status: kind.status,
            detail: without_tokens(&detail.into()).into_owned(),
            members: Map::new(),
            headers: Vec::new(),
        }
    }

    /// Adds an extension member (RFC 9457, section 3.2).
    pub(crate) fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.members.insert(member.to_owned(), value.into());
        self
    }

    pub(crate) fn with_header(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    #[cfg(any(test, fuzzing))]
    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    #[cfg(any(test, fuzzing))]
    pub(crate) fn header_count(&self) -> usize {
        self.headers.len()
    }

    pub(crate) fn into_response(self, id: &RequestId) -> Response {
        let problem = self.with("requestId", id.as_str());
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let response = Response::new(problem.status, "application/problem+json", body);
        let headers = problem.headers.iter();
        headers.fold(response, |response, (name, value)| response.with_header(name, value))
    }
}

impl From<&Rejection> for Problem {
    fn from(rejection: &Rejection) -> Self {
        let problem = Self::new(ProblemType::of(rejection.reason), rejection.detail.as_str());
        match rejection.maximum {
            Some(maximum) => problem.with("maximum", maximum),
            None => problem,
        }
    }
}

/// Quotes and escapes the beginning of a text that a client sent, for a problem's detail.
pub(crate) fn quoted(text: &str) -> String {
    const SHOWN: usize = 60;
    let cut = if text.chars().nth(SHOWN).is_some() { "…" } else { "" };
    format!("{:?}{cut}", text.chars().take(SHOWN).collect::<String>())
}
