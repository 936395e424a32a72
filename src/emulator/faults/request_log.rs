//! The requests and violations that the emulator has seen.

use std::collections::VecDeque;

use serde::Serialize;

use super::RequestKind;

const MAX_REQUESTS: usize = 10_000;
const MAX_VIOLATIONS: usize = 1_000;

/// A request that is finished or was broken off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RecordedRequest {
    /// The kind of request.
    pub kind: RequestKind,
    /// The object that the request was about, if any.
    pub object: Option<String>,
    /// The Content-Range header, unparsed.
    pub content_range: Option<String>,
    /// The number of body bytes received.
    pub body_bytes: u64,
    /// The status of the response; `None` if there was no response.
    pub status: Option<u16>,
    /// True if an injected fault acted on the request.
    pub fault: bool,
}

/// A violation of the protocol by a client, which no fault excuses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// The object that the request was about, if known.
    pub object: Option<String>,
    /// A human-readable description.
    pub what: String,
}

#[derive(Debug, Default)]
pub(super) struct RequestLog {
    requests: VecDeque<RecordedRequest>,
    violations: Vec<Violation>,
}

impl RequestLog {
    pub(super) fn push_request(&mut self, request: RecordedRequest) {
        if self.requests.len() == MAX_REQUESTS {
            self.requests.pop_front();
        }
        self.requests.push_back(request);
    }

    pub(super) fn push_violation(&mut self, violation: Violation) {
        if self.violations.len() < MAX_VIOLATIONS {
            self.violations.push(violation);
        }
    }

    pub(super) fn requests(&self) -> Vec<RecordedRequest> {
        self.requests.iter().cloned().collect()
    }

    pub(super) fn violations(&self) -> Vec<Violation> {
        self.violations.clone()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
