//! What the emulator saw.

use std::collections::VecDeque;

use serde::Serialize;

use super::RequestKind;

const MAX_REQUESTS: usize = 10_000;
const MAX_VIOLATIONS: usize = 1_000;

/// A request, once it was answered or broken off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SeenRequest {
    /// What it was for.
    pub kind: RequestKind,
    /// The object that it was about, where it was about one.
    pub object: Option<String>,
    /// Its Content-Range, as it was written.
    pub content_range: Option<String>,
    /// How many bytes of its body came.
    pub body_bytes: u64,
    /// The status of the answer; `None`: there was none.
    pub status: Option<u16>,
    /// Whether an ordered fault acted on it.
    pub fault: bool,
}

/// Something that the protocol does not allow a client to do, however much goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// The object that the request was about, where that is known.
    pub object: Option<String>,
    /// What was wrong, for a person.
    pub what: String,
}

#[derive(Debug, Default)]
pub(super) struct Record {
    requests: VecDeque<SeenRequest>,
    violations: Vec<Violation>,
}

impl Record {
    pub(super) fn push(&mut self, request: SeenRequest) {
        if self.requests.len() == MAX_REQUESTS {
            self.requests.pop_front();
        }
        self.requests.push_back(request);
    }

    pub(super) fn violated(&mut self, violation: Violation) {
        if self.violations.len() < MAX_VIOLATIONS {
            self.violations.push(violation);
        }
    }

    pub(super) fn requests(&self) -> Vec<SeenRequest> {
        self.requests.iter().cloned().collect()
    }

    pub(super) fn violations(&self) -> Vec<Violation> {
        self.violations.clone()
    }

    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}
