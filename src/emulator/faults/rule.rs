//! What can be ordered.

use serde::{Deserialize, Serialize};

use crate::emulator::wire::Break;

/// What a request is for, as far as faults and the record tell requests apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RequestKind {
    /// Starts an upload session.
    Start,
    /// Brings bytes to a session, or finishes it: also the `bytes */0` of an empty object.
    Data,
    /// Asks a session what is persisted.
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
    /// Makes, reads or lists buckets.
    Bucket,
    /// Anything else: not a request that the emulator knows.
    Other,
}

/// Which requests a rule is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// [`RequestKind::Start`].
    Start,
    /// [`RequestKind::Data`].
    Data,
    /// [`RequestKind::Status`].
    Status,
    /// [`RequestKind::Cancel`].
    Cancel,
    /// [`RequestKind::Simple`].
    Simple,
    /// [`RequestKind::Metadata`].
    Metadata,
    /// [`RequestKind::Download`].
    Download,
    /// [`RequestKind::List`].
    List,
    /// [`RequestKind::Delete`].
    Delete,
    /// [`RequestKind::Bucket`].
    Bucket,
    /// Every request.
    Any,
}

impl Target {
    fn includes(self, kind: RequestKind) -> bool {
        match self {
            Self::Any => true,
            Self::Start => kind == RequestKind::Start,
            Self::Data => kind == RequestKind::Data,
            Self::Status => kind == RequestKind::Status,
            Self::Cancel => kind == RequestKind::Cancel,
            Self::Simple => kind == RequestKind::Simple,
            Self::Metadata => kind == RequestKind::Metadata,
            Self::Download => kind == RequestKind::Download,
            Self::List => kind == RequestKind::List,
            Self::Delete => kind == RequestKind::Delete,
            Self::Bucket => kind == RequestKind::Bucket,
        }
    }
}

/// An order: on which requests what goes wrong, and how often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Which requests it is for.
    pub on: Target,
    /// How many of them to let pass first.
    #[serde(default)]
    pub after: u32,
    /// How many of them then to act on.
    #[serde(default = "once")]
    pub times: u32,
    /// Only those for the object of this name; `None`: for any. The name is the one in the path or
    /// the query, or that of the session: a start that has it in its body alone is for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// What goes wrong.
    pub action: Action,
}

fn once() -> u32 {
    1
}

impl Rule {
    /// Acts on the next request of the target, once.
    pub fn on(target: Target, action: Action) -> Self {
        Self { on: target, after: 0, times: 1, object: None, action }
    }

    /// Lets this many requests pass first.
    pub fn after(self, after: u32) -> Self {
        Self { after, ..self }
    }

    /// Acts this many times.
    pub fn times(self, times: u32) -> Self {
        Self { times, ..self }
    }

    /// Acts only on requests for the object of this name.
    pub fn object(self, name: impl Into<String>) -> Self {
        Self { object: Some(name.into()), ..self }
    }

    pub(super) fn matches(&self, kind: RequestKind, object: Option<&str>) -> bool {
        self.on.includes(kind) && self.object.as_deref().is_none_or(|name| object == Some(name))
    }

    /// Counts a request that matches; true when it is one to act on.
    pub(super) fn let_pass(&mut self) -> bool {
        let due = self.after == 0;
        self.after = self.after.saturating_sub(1);
        due
    }
}

/// What goes wrong with a request.
///
/// Where an action counts bytes of a request's body and the body has no more than that, the
/// request is processed and answered as if nothing had been ordered; with as many bytes as the body
/// has, a connection is broken off after the request has been processed, before its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// The body is read and forgotten, and the answer is this status with an error in JSON.
    Status {
        /// 503, for instance.
        status: u16,
        /// The header Retry-After as it is to be written: seconds, an HTTP date, nonsense.
        #[serde(default)]
        retry_after: Option<String>,
    },
    /// The connection is broken off when this much of the body has been received; 0: before
    /// anything is done. A session keeps the whole 256 KiB steps.
    BreakAfterRequestBytes {
        /// Bytes of the body.
        bytes: u64,
        /// How.
        with: Break,
    },
    /// The request is processed, and the connection broken off in place of the answer.
    BreakBeforeAnswer {
        /// How.
        with: Break,
    },
    /// The request is processed, and the connection broken off after so much of the answer, its
    /// status line and headers included.
    BreakAfterAnswerBytes {
        /// Bytes of the answer, from its first letter.
        bytes: u64,
        /// How.
        with: Break,
    },
    /// Of this request's body no more than this is persisted, in whole 256 KiB steps; the rest is
    /// read and forgotten, and the answer is the 308 that says so.
    PersistAtMost {
        /// Bytes of the body.
        bytes: u64,
    },
    /// When this much of the body has been received, the answer is this status, and the connection
    /// is broken, whatever the client is still sending. A session keeps the whole 256 KiB steps.
    AnswerAfterRequestBytes {
        /// Bytes of the body.
        bytes: u64,
        /// The status.
        status: u16,
        /// How the connection ends: after a close the client can read the answer, a reset may
        /// overtake it.
        with: Break,
    },
    /// The request is processed, and its answer held back.
    StallBeforeAnswer {
        /// Milliseconds.
        ms: u64,
    },
    /// When this much of the body has been received, nothing more is read for a while. Some MiB
    /// may still go into the sockets' buffers: a client notices only when it sends more than that.
    StallAfterRequestBytes {
        /// Bytes of the body.
        bytes: u64,
        /// Milliseconds.
        ms: u64,
    },
    /// The answer is this, whatever it should have been. Closes the connection.
    Answer(RawAnswer),
    /// The request is processed; the answer's content is cut short, and its Content-Length with it.
    TruncateAnswer {
        /// Bytes of the content that are left.
        bytes: u64,
    },
    /// The session of this request is forgotten; this status (404, 410, 499) is the answer now, and
    /// to each later request to the session.
    LoseSession {
        /// The status.
        status: u16,
    },
}

/// An answer, letter by letter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawAnswer {
    /// The status.
    pub status: u16,
    /// Headers, as they are to be written. Content-Length is added unless it is among them.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// The content.
    #[serde(default)]
    pub body: String,
    /// This many spaces follow the content: for answers that are too large.
    #[serde(default)]
    pub padding: u64,
    /// What becomes of the request.
    #[serde(default)]
    pub processing: Processing,
}

/// What becomes of a request whose answer is made up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Processing {
    /// Its body is read and forgotten.
    #[default]
    Skipped,
    /// It is processed as usual; only its answer is replaced.
    Done,
}
