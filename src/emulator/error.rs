//! Errors, in the format of Cloud Storage's JSON API:
//! <https://docs.cloud.google.com/storage/docs/json_api/v1/status-codes>.

use std::io;

use serde_json::{Value, json};

/// The error response to a rejected request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ApiError {
    /// The HTTP status.
    pub(super) status: u16,
    /// The API's reason code: `notFound`, `conditionNotMet` and others.
    pub(super) reason: &'static str,
    /// Human-readable message.
    pub(super) message: String,
    /// True if only a client that breaks the protocol can get this error.
    pub(super) is_violation: bool,
}

impl ApiError {
    pub(super) fn new(status: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { status, reason, message: message.into(), is_violation: false }
    }

    /// An error for a request that the protocol does not allow.
    pub(super) fn protocol_violation(
        status: u16,
        reason: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self { is_violation: true, ..Self::new(status, reason, message) }
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "invalid", message)
    }

    pub(super) fn bucket_not_found(bucket: &str) -> Self {
        Self::new(404, "notFound", format!("The bucket {bucket} does not exist."))
    }

    pub(super) fn object_not_found(bucket: &str, name: &str) -> Self {
        Self::new(404, "notFound", format!("No such object: {bucket}/{name}"))
    }

    pub(super) fn condition_not_met(what: impl Into<String>) -> Self {
        Self::new(412, "conditionNotMet", what)
    }

    /// An error of the store, for instance a full disk or a read-only folder. `what` completes
    /// "The emulator could not".
    pub(super) fn storage_failed(what: &str, error: &io::Error) -> Self {
        Self::new(500, "internalError", format!("The emulator could not {what}: {error}"))
    }

    /// The response body.
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
