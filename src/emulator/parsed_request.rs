//! A request after its head was parsed.

use std::sync::Arc;

use super::content_range::ContentRange;
use super::error::ApiError;
use super::faults::RequestKind;
use super::http::RequestHead;
use super::router::{Operation, route};
use super::upload::{Session, Sessions};

/// A request's head, and everything that follows from it.
pub(super) struct ParsedRequest {
    pub(super) head: RequestHead,
    pub(super) operation: Result<Operation, ApiError>,
    pub(super) content_range: Option<Result<ContentRange, ApiError>>,
    /// The session that the request names, if it exists.
    pub(super) session: Option<Arc<Session>>,
    /// True if the session was already cancelled when the request arrived. A request that arrived
    /// earlier, and was delayed here until after the cancellation, was legal when it was sent.
    pub(super) cancelled_before: bool,
    pub(super) kind: RequestKind,
    /// The object that the request is about, where its head names one.
    pub(super) object: Option<String>,
}

impl ParsedRequest {
    pub(super) fn new(head: RequestHead, sessions: &Sessions) -> Self {
        let operation = route(&head);
        let content_range = head.header("Content-Range").map(ContentRange::parse);
        let valid_range = content_range.as_ref().and_then(|range| range.as_ref().ok());
        let kind =
            operation.as_ref().map_or(RequestKind::Other, |operation| operation.kind(valid_range));
        let session = match &operation {
            Ok(Operation::ContinueSession { id } | Operation::CancelSession { id }) => {
                sessions.get(id)
            }
            _ => None,
        };
        let object = match &operation {
            Ok(
                Operation::GetObject { name, .. }
                | Operation::Download { name, .. }
                | Operation::DeleteObject { name, .. },
            ) => Some(name.clone()),
            _ => session
                .as_ref()
                .map(|session| session.object_name().to_owned())
                .or_else(|| head.query.get("name").map(str::to_owned)),
        };
        let cancelled_before = session.as_ref().is_some_and(|session| session.is_cancelled());
        Self { head, operation, content_range, session, cancelled_before, kind, object }
    }

    /// True for a request to the emulator's own control API.
    pub(super) fn is_control(&self) -> bool {
        self.operation.as_ref().is_ok_and(Operation::is_control)
    }

    /// The session of a request that needs one.
    pub(super) fn session(&self) -> Result<&Arc<Session>, ApiError> {
        self.session
            .as_ref()
            .ok_or_else(|| ApiError::protocol_violation(404, "notFound", "No such upload session."))
    }
}
