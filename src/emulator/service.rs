//! One request, from its head to its response: parse, apply an injected fault, call the handler,
//! record, respond.

use std::sync::Arc;

use tiny_http::{Header, Request, StatusCode};

use super::context::Context;
use super::error::ApiError;
use super::fault_injection::{self, Delivery};
use super::faults::Action;
use super::handlers;
use super::http::{BodyError, MAX_UNREAD, RequestBody, RequestError, RequestHead, Response};
use super::parsed_request::ParsedRequest;
use super::recording;
use super::shutdown::ShutdownSignal;
use super::wire::{Break, Connection, PROBE_PATH, Relay};

/// Handles requests, on any number of threads at once.
pub(super) struct Service {
    pub(super) context: Context,
    pub(super) relay: Relay,
    pub(super) shutdown: Arc<ShutdownSignal>,
}

impl Service {
    /// Responds to a request, or breaks its connection.
    pub(super) fn serve(&self, mut request: Request) {
        if request.url() == PROBE_PATH {
            return respond(request, Response::empty(204));
        }
        let peer = request.remote_addr().copied();
        let Some(connection) = peer.and_then(|peer| self.relay.connection(&peer)) else {
            // The client has disconnected, or has bypassed the relay.
            return drop(request);
        };
        let head = match RequestHead::from_request(&request, &self.relay.addr().to_string()) {
            Ok(head) => head,
            Err(error) => return self.reject(request, &connection, error),
        };
        let parsed = ParsedRequest::new(head, &self.context.sessions);
        let action = if parsed.is_control() {
            None
        } else {
            self.context.faults.next_action(parsed.kind, parsed.object.as_deref())
        };
        let fault = action.as_ref().and_then(fault_injection::body_fault);
        let mut body =
            RequestBody::new(&mut request, Arc::clone(&connection), &self.shutdown, fault);
        let delivery = self.process(&parsed, action.as_ref(), &mut body);
        let (body_bytes, unread) = (body.received(), body.unread());
        if !parsed.is_control() {
            let faults = &self.context.faults;
            recording::record_request(faults, &parsed, &delivery, body_bytes, action.is_some());
        }
        match delivery {
            Delivery::None => discard(request, unread, &connection),
            Delivery::Raw { bytes, then, .. } => {
                connection.write_and_break(&bytes, then);
                discard(request, unread, &connection);
            }
            Delivery::Response(response) if unread <= MAX_UNREAD => {
                if let Some(Action::BreakAfterResponseBytes { bytes, with }) = action {
                    connection.limit_response(bytes, with);
                }
                respond(request, response);
            }
            Delivery::Response(_) => discard(request, unread, &connection),
        }
    }

    /// Responds to a request whose head is malformed.
    fn reject(&self, mut request: Request, connection: &Arc<Connection>, error: ApiError) {
        let mut body = RequestBody::new(&mut request, Arc::clone(connection), &self.shutdown, None);
        match body.drain() {
            Ok(()) => respond(request, error.into()),
            Err(_) => {
                let unread = body.unread();
                discard(request, unread, connection);
            }
        }
    }

    fn process(
        &self,
        parsed: &ParsedRequest,
        action: Option<&Action>,
        body: &mut RequestBody<'_>,
    ) -> Delivery {
        let replacement =
            action.and_then(|action| fault_injection::response_without_processing(action, parsed));
        let result = match replacement {
            Some(response) => Ok(response),
            None => handlers::handle(&self.context, parsed, action, body),
        };
        recording::record_violation_in(&self.context.faults, parsed, &result);
        // An error here is also in `body.error()`.
        let _ = body.drain();
        match body.error() {
            Some(BodyError::Broken) => return Delivery::None,
            Some(BodyError::RespondEarly) => return fault_injection::early_response(action),
            Some(BodyError::ClientDisconnected) | None => {}
        }
        let response = match result {
            Ok(response) => response,
            Err(RequestError::Rejected(error)) => error.into(),
            // A client that has only closed its sending side may still read.
            Err(RequestError::Body(_)) => {
                ApiError::new(400, "invalid", "The request body is incomplete.").into()
            }
        };
        fault_injection::deliver(action, body, response, &self.shutdown)
    }
}

/// Disposes of a request without a response.
fn discard(request: Request, unread: u64, connection: &Connection) {
    if unread > MAX_UNREAD {
        connection.break_off(Break::Close);
        // Leaks a tiny_http thread. Dropping the request could abort the process, because
        // tiny_http allocates a buffer as large as the unread body.
        std::mem::forget(request);
    }
}

fn respond(request: Request, response: Response) {
    let headers = response
        .headers
        .iter()
        .filter_map(|(name, value)| Header::from_bytes(name.as_bytes(), value.as_bytes()).ok())
        .collect();
    let length = usize::try_from(response.length).unwrap_or(usize::MAX);
    let status = StatusCode(response.status);
    // Like Cloud Storage: always Content-Length, never chunked.
    let response = tiny_http::Response::new(status, headers, response.body, Some(length), None)
        .with_chunked_threshold(usize::MAX);
    if let Err(error) = request.respond(response) {
        log::debug!("emulator: could not send a response: {error}");
    }
}
