//! Rules: which requests a fault acts on, and what it does.

use serde::de::IntoDeserializer;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How a connection is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Break {
    /// TCP RST: data that the client has not read yet is lost.
    Reset,
    /// TCP FIN: the client can read all data that was sent, and then the end.
    Close,
}

/// The kind of a request, as faults and the record distinguish requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RequestKind {
    /// Starts an upload session.
    Start,
    /// Sends bytes to a session, or finishes it. Includes the `bytes */0` of an empty object.
    Data,
    /// Asks a session how much is persisted.
    Status,
    /// Cancels a session.
    Cancel,
    /// Uploads an object in one request (`uploadType=media` or `multipart`).
    Simple,
    /// Reads an object's metadata.
    Metadata,
    /// Reads an object's content.
    Download,
    /// Lists objects.
    List,
    /// Deletes an object.
    Delete,
    /// Creates, reads or lists buckets.
    Bucket,
    /// Any request that the emulator does not implement.
    Other,
}

/// The requests that a rule applies to. In JSON: a [`RequestKind`], or `any`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Requests of this kind.
    Kind(RequestKind),
    /// Every request.
    Any,
}

/// [`Target::Any`] in JSON.
const ANY: &str = "any";

impl Target {
    fn includes(self, kind: RequestKind) -> bool {
        match self {
            Self::Kind(target) => target == kind,
            Self::Any => true,
        }
    }
}

impl From<RequestKind> for Target {
    fn from(kind: RequestKind) -> Self {
        Self::Kind(kind)
    }
}

impl Serialize for Target {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Kind(kind) => kind.serialize(serializer),
            Self::Any => serializer.serialize_str(ANY),
        }
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == ANY {
            return Ok(Self::Any);
        }
        RequestKind::deserialize(text.into_deserializer()).map(Self::Kind)
    }
}

/// A fault: which requests it acts on, how many times, and what it does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The requests to consider.
    pub on: Target,
    /// The number of requests to skip first.
    #[serde(default)]
    pub after: u32,
    /// The number of requests to act on after that.
    #[serde(default = "once")]
    pub times: u32,
    /// Restricts the rule to requests for the object of this name; `None` for all requests. The name
    /// is taken from the path, the query or the session; a session start that names its object only
    /// in the body matches no name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// The fault.
    pub action: Action,
}

fn once() -> u32 {
    1
}

impl Rule {
    /// A rule that acts once, on the next request of the target.
    pub fn on(target: impl Into<Target>, action: Action) -> Self {
        Self { on: target.into(), after: 0, times: 1, object: None, action }
    }

    /// Skips this many requests first.
    pub fn after(self, after: u32) -> Self {
        Self { after, ..self }
    }

    /// Acts this many times.
    pub fn times(self, times: u32) -> Self {
        Self { times, ..self }
    }

    /// Restricts the rule to requests for the object of this name.
    pub fn object(self, name: impl Into<String>) -> Self {
        Self { object: Some(name.into()), ..self }
    }

    pub(super) fn matches(&self, kind: RequestKind, object: Option<&str>) -> bool {
        self.on.includes(kind) && self.object.as_deref().is_none_or(|name| object == Some(name))
    }

    /// Counts a matching request. Returns false for one to skip, true for one to act on.
    pub(super) fn skip_or_act(&mut self) -> bool {
        let due = self.after == 0;
        self.after = self.after.saturating_sub(1);
        due
    }
}

/// A fault of a request. In JSON, actions have the names in parentheses.
///
/// An action at a byte of the request body has no effect if the body is not longer than that. The
/// exception is [`BreakAfterRequestBytes`](Self::BreakAfterRequestBytes) with exactly the body's
/// length: the request is processed, and the connection is broken before the response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// Reads and discards the body, and responds with this status and an error in JSON (`status`).
    Status {
        /// The status, for instance 503.
        status: u16,
        /// The Retry-After header, sent as it is: seconds, an HTTP date or an invalid value.
        #[serde(default)]
        retry_after: Option<String>,
    },
    /// Breaks the connection after this much of the body; with 0, before processing begins. A
    /// session keeps whole steps of 256 KiB (`break_after_request_bytes`).
    BreakAfterRequestBytes {
        /// Number of body bytes.
        bytes: u64,
        /// The kind of break.
        with: Break,
    },
    /// Processes the request, and breaks the connection in place of the response
    /// (`break_before_answer`).
    #[serde(rename = "break_before_answer")]
    BreakBeforeResponse {
        /// The kind of break.
        with: Break,
    },
    /// Processes the request, and breaks the connection after this much of the response
    /// (`break_after_answer_bytes`).
    #[serde(rename = "break_after_answer_bytes")]
    BreakAfterResponseBytes {
        /// Number of response bytes, including status line and headers.
        bytes: u64,
        /// The kind of break.
        with: Break,
    },
    /// Persists at most this much of the body, in whole steps of 256 KiB, discards the rest, and
    /// responds with a 308 that says so (`persist_at_most`).
    PersistAtMost {
        /// Number of body bytes.
        bytes: u64,
    },
    /// Responds with this status after this much of the body, and breaks the connection while the
    /// client may still be sending. A session keeps whole steps of 256 KiB
    /// (`answer_after_request_bytes`).
    #[serde(rename = "answer_after_request_bytes")]
    RespondAfterRequestBytes {
        /// Number of body bytes.
        bytes: u64,
        /// The status.
        status: u16,
        /// The kind of break. After a close the client can read the response; a reset may
        /// overtake it.
        with: Break,
    },
    /// Processes the request, and delays its response (`stall_before_answer`).
    #[serde(rename = "stall_before_answer")]
    StallBeforeResponse {
        /// Milliseconds.
        ms: u64,
    },
    /// Stops reading for a while after this much of the body. Some MiB may still fit into the socket
    /// buffers, so a client notices only when it sends more than that
    /// (`stall_after_request_bytes`).
    StallAfterRequestBytes {
        /// Number of body bytes.
        bytes: u64,
        /// Milliseconds.
        ms: u64,
    },
    /// Sends this response in place of the regular one, and closes the connection (`answer`).
    #[serde(rename = "answer")]
    Respond(RawResponse),
    /// Processes the request, and shortens the response's body and Content-Length
    /// (`truncate_answer`).
    #[serde(rename = "truncate_answer")]
    TruncateResponse {
        /// Number of body bytes to keep.
        bytes: u64,
    },
    /// Ends the session of this request. The response to this and to every later request to the
    /// session is this status: 404, 410 or 499 (`lose_session`).
    LoseSession {
        /// The status.
        status: u16,
    },
}

/// A response that is sent exactly as given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawResponse {
    /// The status.
    pub status: u16,
    /// Headers. Content-Length is added unless it is among them.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// The body.
    #[serde(default)]
    pub body: String,
    /// Number of spaces to append to the body, to make responses that are too large.
    #[serde(default)]
    pub padding: u64,
    /// Processing of the request.
    #[serde(default)]
    pub processing: Processing,
}

/// Processing of a request whose response is replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Processing {
    /// The body is read and discarded.
    #[default]
    Skipped,
    /// The request is processed; only its response is replaced.
    Done,
}
