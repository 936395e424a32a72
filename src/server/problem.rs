//! Errors as the API tells them: RFC 9457, `application/problem+json`.
//!
//! A problem's `type` is stable: clients may branch on it. Its `detail` is for a person.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::http::request_id::RequestId;
use crate::http::response::Answer;
use crate::redact::without_tokens;

/// One kind of problem: the last part of its `type`, its title and its status.
#[derive(Debug)]
pub(crate) struct Kind(&'static str, &'static str, u16);

pub(crate) const BAD_PARAMETER: Kind = Kind("bad-parameter", "Bad query parameter", 400);
pub(crate) const MALFORMED: Kind = Kind("malformed-request", "Malformed request", 400);
pub(crate) const AMBIGUOUS_BODY: Kind = Kind("ambiguous-body", "Ambiguous request body", 400);
pub(crate) const BAD_AUTHORIZATION: Kind = Kind("bad-authorization", "Bad Authorization", 400);
pub(crate) const BAD_CONTENT_TYPE: Kind = Kind("bad-content-type", "Bad Content-Type", 400);
pub(crate) const BAD_DISPOSITION: Kind =
    Kind("bad-content-disposition", "Bad Content-Disposition", 400);
pub(crate) const BAD_CHECKSUM: Kind = Kind("bad-checksum", "Bad checksum header", 400);
pub(crate) const BAD_NAME: Kind = Kind("bad-name", "Not a name that an object can have", 400);
pub(crate) const CONTENT_RANGE: Kind = Kind("content-range", "A part of a file", 400);
pub(crate) const INCOMPLETE_BODY: Kind = Kind("incomplete-body", "Incomplete request body", 400);
pub(crate) const MALFORMED_BODY: Kind = Kind("malformed-body", "Malformed request body", 400);
pub(crate) const BAD_IDEMPOTENCY_KEY: Kind =
    Kind("bad-idempotency-key", "Bad Idempotency-Key", 400);
pub(crate) const UNAUTHORIZED: Kind = Kind("unauthorized", "A token is needed", 401);
pub(crate) const FORBIDDEN: Kind = Kind("forbidden", "The token is not for this", 403);
pub(crate) const NOT_FOUND: Kind = Kind("not-found", "No such path", 404);
pub(crate) const UNKNOWN_UPLOAD: Kind = Kind("unknown-upload", "No such upload", 404);
pub(crate) const METHOD_NOT_ALLOWED: Kind =
    Kind("method-not-allowed", "Method not allowed on this path", 405);
pub(crate) const REQUEST_TIMEOUT: Kind =
    Kind("request-timeout", "The request took too long to come", 408);
pub(crate) const OBJECT_EXISTS: Kind =
    Kind("object-exists", "The bucket has an object of that name", 409);
pub(crate) const LENGTH_REQUIRED: Kind = Kind("length-required", "No request body", 411);
pub(crate) const CHUNKED_BODY: Kind = Kind("chunked-body", "Chunked request body", 411);
pub(crate) const SIZE_TOO_LARGE: Kind = Kind("size-too-large", "Size too large", 413);
pub(crate) const BODY_TOO_LARGE: Kind = Kind("body-too-large", "Request body too large", 413);
pub(crate) const TARGET_TOO_LONG: Kind = Kind("target-too-long", "Path and query too long", 414);
pub(crate) const CONTENT_CODING: Kind = Kind("content-coding", "Content coding not supported", 415);
pub(crate) const EXPECTATION_FAILED: Kind = Kind("expectation-failed", "Expectation failed", 417);
pub(crate) const CHECKSUM_MISMATCH: Kind =
    Kind("checksum-mismatch", "The bytes do not have the stated checksum", 422);
pub(crate) const IDEMPOTENCY_KEY_REUSED: Kind =
    Kind("idempotency-key-reused", "The Idempotency-Key is that of another upload", 422);
pub(crate) const HEAD_TOO_LARGE: Kind = Kind("head-too-large", "Request head too large", 431);
pub(crate) const INTERNAL: Kind = Kind("internal", "Internal error", 500);
pub(crate) const TRANSFER_CODING: Kind =
    Kind("transfer-coding", "Transfer coding not implemented", 501);
pub(crate) const STORAGE_REFUSED: Kind =
    Kind("storage-refused", "Cloud Storage refused the upload", 502);
pub(crate) const NAME_TAKEN: Kind = Kind("name-taken", "An object of that name exists", 502);
pub(crate) const NO_CREDENTIALS: Kind = Kind("no-credentials", "No access to Cloud Storage", 502);
pub(crate) const STORAGE_UNINTELLIGIBLE: Kind =
    Kind("storage-unintelligible", "Cloud Storage's answer makes no sense", 502);
pub(crate) const STORAGE_LOST: Kind =
    Kind("storage-lost", "Cloud Storage lost a part of the upload", 502);
pub(crate) const NOT_READY: Kind = Kind("not-ready", "Not ready for uploads", 503);
pub(crate) const QUEUE_FULL: Kind = Kind("queue-full", "Too many uploads at once", 503);
pub(crate) const DRAINING: Kind = Kind("draining", "The server is shutting down", 503);
pub(crate) const TOO_MANY_CONNECTIONS: Kind =
    Kind("too-many-connections", "Too many connections", 503);
pub(crate) const INTERRUPTED: Kind = Kind("interrupted", "The upload was interrupted", 503);
pub(crate) const STORAGE_TIMED_OUT: Kind =
    Kind("storage-timed-out", "Cloud Storage did not finish in time", 504);
pub(crate) const VERSION: Kind = Kind("http-version", "HTTP version not supported", 505);

/// Every kind there is, as the API's description has them.
pub(crate) const ALL: &[Kind] = &[
    BAD_PARAMETER,
    MALFORMED,
    AMBIGUOUS_BODY,
    BAD_AUTHORIZATION,
    BAD_CONTENT_TYPE,
    BAD_DISPOSITION,
    BAD_CHECKSUM,
    BAD_NAME,
    CONTENT_RANGE,
    INCOMPLETE_BODY,
    MALFORMED_BODY,
    BAD_IDEMPOTENCY_KEY,
    UNAUTHORIZED,
    FORBIDDEN,
    NOT_FOUND,
    UNKNOWN_UPLOAD,
    METHOD_NOT_ALLOWED,
    REQUEST_TIMEOUT,
    OBJECT_EXISTS,
    LENGTH_REQUIRED,
    CHUNKED_BODY,
    SIZE_TOO_LARGE,
    BODY_TOO_LARGE,
    TARGET_TOO_LONG,
    CONTENT_CODING,
    EXPECTATION_FAILED,
    CHECKSUM_MISMATCH,
    IDEMPOTENCY_KEY_REUSED,
    HEAD_TOO_LARGE,
    INTERNAL,
    TRANSFER_CODING,
    STORAGE_REFUSED,
    NAME_TAKEN,
    NO_CREDENTIALS,
    STORAGE_UNINTELLIGIBLE,
    STORAGE_LOST,
    NOT_READY,
    QUEUE_FULL,
    DRAINING,
    TOO_MANY_CONNECTIONS,
    INTERRUPTED,
    STORAGE_TIMED_OUT,
    VERSION,
];

impl Kind {
    /// The last part of the problem's `type`.
    pub(crate) fn slug(&self) -> &'static str {
        self.0
    }

    pub(crate) fn title(&self) -> &'static str {
        self.1
    }

    pub(crate) fn status(&self) -> u16 {
        self.2
    }

    /// The problem's `type`.
    pub(crate) fn uri(&self) -> String {
        format!("urn:gcs-uploader:problem:{}", self.0)
    }
}

/// Why a request is not answered as it was meant to be.
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
    /// A detail may quote what a client sent: a token in it is left out.
    pub(crate) fn new(kind: &Kind, detail: impl Into<String>) -> Self {
        Self {
            uri: kind.uri(),
            title: kind.1,
            status: kind.2,
            detail: without_tokens(&detail.into()).into_owned(),
            members: Map::new(),
            headers: Vec::new(),
        }
    }

    /// Adds an extension member (RFC 9457, 3.2).
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

    pub(crate) fn into_answer(self, id: &RequestId) -> Answer {
        let problem = self.with("requestId", id.as_str());
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let answer = Answer::new(problem.status, "application/problem+json", body);
        problem.headers.iter().fold(answer, |answer, (name, value)| answer.with_header(name, value))
    }
}

/// The beginning of what a client sent, quoted and escaped, for a problem's detail.
pub(crate) fn quoted(text: &str) -> String {
    const SHOWN: usize = 60;
    let cut = if text.chars().nth(SHOWN).is_some() { "…" } else { "" };
    format!("{:?}{cut}", text.chars().take(SHOWN).collect::<String>())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_list_of_kinds_has_every_one_once() {
        let declared = include_str!("problem.rs").matches(": Kind =").count();
        let slugs: HashSet<_> = ALL.iter().map(Kind::slug).collect();
        assert_eq!(
            (slugs.len(), ALL.len()),
            (declared - 1, declared - 1),
            "the one is this test's"
        );
    }
}
