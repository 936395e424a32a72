//! Injected faults applied to a request: to its body, its processing and its response.

use std::time::Duration;

use tiny_http::StatusCode;

use super::error::ApiError;
use super::faults::{Action, Break, Processing, RawResponse};
use super::http::{BodyFault, BodyFaultKind, RequestBody, empty_response, json_response, truncate};
use super::parsed_request::ParsedRequest;
use super::shutdown::ShutdownSignal;
use crate::http::response::Response;

/// Outcome of a request, as its client sees it.
pub(super) enum Delivery {
    /// The response.
    Response(Response),
    /// The first bytes of the response; then the connection is broken.
    Partial { response: Response, bytes: u64, then: Break },
    /// These bytes as the response; then the connection is broken.
    Raw { bytes: Vec<u8>, status: u16, then: Break },
    /// No response: the connection is broken.
    Break(Break),
}

/// The part of an action that happens while the body is read.
pub(super) fn body_fault(action: &Action) -> Option<BodyFault> {
    match *action {
        Action::BreakAfterRequestBytes { bytes, with } => {
            Some(BodyFault { after: bytes, kind: BodyFaultKind::Break(with) })
        }
        Action::RespondAfterRequestBytes { bytes, .. } => {
            Some(BodyFault { after: bytes, kind: BodyFaultKind::RespondEarly })
        }
        Action::StallAfterRequestBytes { bytes, ms } => {
            let kind = BodyFaultKind::Stall(Duration::from_millis(ms));
            Some(BodyFault { after: bytes, kind })
        }
        _ => None,
    }
}

/// The response of an action that prevents the request from being processed.
pub(super) fn response_without_processing(
    action: &Action,
    parsed: &ParsedRequest,
) -> Option<Response> {
    match action {
        Action::Status { status, retry_after } => {
            let response = json_response(*status, &injected_error(*status).to_json());
            Some(match retry_after {
                Some(value) => response.with_header("Retry-After", value),
                None => response,
            })
        }
        Action::LoseSession { status } => {
            let error = ApiError::new(*status, "gone", "The session is gone.");
            if let Some(session) = &parsed.session {
                session.terminate(error.clone());
            }
            Some(error.into())
        }
        Action::Respond(RawResponse { processing: Processing::Skipped, .. }) => {
            Some(empty_response(200))
        }
        _ => None,
    }
}

/// Applies an action to the response of a request that was processed.
pub(super) fn deliver(
    action: Option<&Action>,
    body: &RequestBody<'_>,
    mut response: Response,
    shutdown: &ShutdownSignal,
) -> Delivery {
    match action {
        Some(Action::BreakBeforeResponse { with }) => Delivery::Break(*with),
        Some(Action::BreakAfterRequestBytes { bytes, with }) if *bytes == body.received() => {
            Delivery::Break(*with)
        }
        Some(Action::BreakAfterResponseBytes { bytes, with }) => {
            Delivery::Partial { response, bytes: *bytes, then: *with }
        }
        Some(Action::StallBeforeResponse { ms }) => {
            shutdown.wait_timeout(Duration::from_millis(*ms));
            Delivery::Response(response)
        }
        Some(Action::Respond(raw)) => {
            Delivery::Raw { bytes: raw_bytes(raw), status: raw.status, then: Break::Close }
        }
        Some(Action::TruncateResponse { bytes }) => {
            truncate(&mut response, *bytes);
            Delivery::Response(response)
        }
        _ => Delivery::Response(response),
    }
}

/// The response of [`Action::RespondAfterRequestBytes`].
pub(super) fn early_response(action: Option<&Action>) -> Delivery {
    let Some(Action::RespondAfterRequestBytes { status, with, .. }) = action else {
        return Delivery::Break(Break::Close);
    };
    let raw = RawResponse {
        status: *status,
        headers: vec![("Content-Type".to_owned(), "application/json; charset=UTF-8".to_owned())],
        body: injected_error(*status).to_json().to_string(),
        ..RawResponse::default()
    };
    Delivery::Raw { bytes: raw_bytes(&raw), status: *status, then: *with }
}

fn injected_error(status: u16) -> ApiError {
    ApiError::new(status, "ordered", format!("Injected fault: status {status}."))
}

fn raw_bytes(raw: &RawResponse) -> Vec<u8> {
    let reason = StatusCode(raw.status).default_reason_phrase();
    let mut text = format!("HTTP/1.1 {} {reason}\r\nConnection: close\r\n", raw.status);
    for (name, value) in &raw.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    let length = raw.body.len() as u64 + raw.padding;
    if !raw.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("Content-Length")) {
        text.push_str(&format!("Content-Length: {length}\r\n"));
    }
    text.push_str("\r\n");
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(raw.body.as_bytes());
    bytes.resize(bytes.len() + raw.padding as usize, b' ');
    bytes
}
