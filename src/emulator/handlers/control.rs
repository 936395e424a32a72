//! The emulator's control API: inject faults, read the record of requests.

use serde_json::json;

use crate::emulator::error::ApiError;
use crate::emulator::faults::{Faults, Rule};
use crate::emulator::http::{RequestBody, RequestError, empty_response, json_response};
use crate::http::response::Response;

/// The longest list of rules that is read, in bytes of JSON.
const MAX_RULES_SIZE: usize = 1 << 20;

pub(super) fn inject_faults(
    faults: &Faults,
    body: &mut RequestBody<'_>,
) -> Result<Response, RequestError> {
    let mut text = Vec::new();
    body.fill(&mut text, MAX_RULES_SIZE)?;
    let malformed = |error| ApiError::new(400, "parseError", format!("Invalid rule: {error}"));
    let rules: Vec<Rule> = if text.trim_ascii_start().starts_with(b"[") {
        serde_json::from_slice(&text).map_err(malformed)?
    } else {
        vec![serde_json::from_slice(&text).map_err(malformed)?]
    };
    for rule in rules {
        faults.inject(rule);
    }
    Ok(list_faults(faults))
}

pub(super) fn list_faults(faults: &Faults) -> Response {
    json_response(200, &json!(faults.pending()))
}

pub(super) fn clear_faults(faults: &Faults) -> Response {
    faults.clear();
    empty_response(204)
}

pub(super) fn list_requests(faults: &Faults) -> Response {
    let (requests, violations) = (faults.requests(), faults.violations());
    json_response(200, &json!({"requests": requests, "violations": violations}))
}

pub(super) fn clear_requests(faults: &Faults) -> Response {
    faults.clear_requests();
    empty_response(204)
}
