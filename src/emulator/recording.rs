//! The record that tests read: each request, and each violation of the protocol.

use super::content_range::ContentRange;
use super::fault_injection::Delivery;
use super::faults::{Faults, RecordedRequest, RequestKind, Violation};
use super::http::{RequestBody, RequestError};
use super::parsed_request::ParsedRequest;
use super::upload::{CANCELLED, STEP};
use crate::http::response::Response;

/// The longest part of a Content-Range that is recorded, in characters.
const MAX_CONTENT_RANGE: usize = 200;

pub(super) fn record_request(
    faults: &Faults,
    parsed: &ParsedRequest,
    delivery: &Delivery,
    body_bytes: u64,
    fault: bool,
) {
    let status = match delivery {
        Delivery::Response(response) | Delivery::Partial { response, .. } => Some(response.status),
        Delivery::Raw { status, .. } => Some(*status),
        Delivery::Break(_) => None,
    };
    let content_range = parsed.head.header("Content-Range");
    faults.record_request(RecordedRequest {
        kind: parsed.kind,
        object: parsed.object.clone(),
        content_range: content_range.map(|range| range.chars().take(MAX_CONTENT_RANGE).collect()),
        body_bytes,
        status,
        fault,
    });
}

/// Records a request that was rejected for breaking the protocol.
pub(super) fn record_violation_in(
    faults: &Faults,
    parsed: &ParsedRequest,
    result: &Result<Response, RequestError>,
) {
    let Err(RequestError::Rejected(error)) = result else { return };
    let sent_after_cancel =
        parsed.kind == RequestKind::Data && parsed.cancelled_before && error.reason == CANCELLED;
    if error.is_violation || sent_after_cancel {
        record_violation(faults, parsed, error.message.clone());
    }
}

/// Records a chunk that sessions accept although no client should send it.
pub(super) fn record_suspicious_chunk(
    faults: &Faults,
    parsed: &ParsedRequest,
    range: Option<ContentRange>,
    body: &RequestBody<'_>,
) {
    let (length, is_last) = match range {
        Some(ContentRange::Chunk { first, last, total }) => {
            (last + 1 - first, total == Some(last + 1))
        }
        Some(ContentRange::Status { .. }) => (0, true),
        None => return,
    };
    if !is_last && !length.is_multiple_of(STEP) {
        let what = format!("chunk of {length} bytes that is not the last");
        record_violation(faults, parsed, what);
    }
    if let Some(sent) = body.length().filter(|sent| *sent != length) {
        let what = format!("body of {sent} bytes with a Content-Range of {length}");
        record_violation(faults, parsed, what);
    }
}

fn record_violation(faults: &Faults, parsed: &ParsedRequest, what: String) {
    faults.record_violation(Violation { object: parsed.object.clone(), what });
}
