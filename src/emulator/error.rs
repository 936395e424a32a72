//! Refusals, in the form in which Cloud Storage's JSON API writes them:
//! <https://docs.cloud.google.com/storage/docs/json_api/v1/status-codes>.

use std::io;

use serde_json::{Value, json};

/// A request that is refused, and what the caller is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ApiError {
    /// The HTTP status.
    pub(super) status: u16,
    /// The API's word for it: `notFound`, `conditionNotMet`…
    pub(super) reason: &'static str,
    /// For a person.
    pub(super) message: String,
    /// Whether a client that keeps to the protocol never gets this, whatever goes wrong.
    pub(super) violation: bool,
}

impl ApiError {
    pub(super) fn new(status: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { status, reason, message: message.into(), violation: false }
    }

    /// A request that the protocol does not allow.
    pub(super) fn illegal(status: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { violation: true, ..Self::new(status, reason, message) }
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "invalid", message)
    }

    pub(super) fn no_bucket(bucket: &str) -> Self {
        Self::new(404, "notFound", format!("The bucket {bucket} does not exist."))
    }

    pub(super) fn no_object(bucket: &str, name: &str) -> Self {
        Self::new(404, "notFound", format!("No such object: {bucket}/{name}"))
    }

    pub(super) fn condition_not_met(what: impl Into<String>) -> Self {
        Self::new(412, "conditionNotMet", what)
    }

    /// The store failed: a full disk, a folder that may not be written.
    pub(super) fn store(what: &str, error: &io::Error) -> Self {
        Self::new(500, "internalError", format!("The emulator could not {what}: {error}"))
    }

    /// The answer's body.
    pub(super) fn to_json(&self) -> Value {
        json!({
            "error": {
                "code": self.status,
                "message": self.message,
                "errors": [{
                    "domain": "global",
                    "reason": self.reason,
                    "message": self.message,
                }],
            }
        })
    }
}
