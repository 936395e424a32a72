//! One request, from its head to its response: parse, apply an injected fault, call the handler,
//! record, respond.

use std::net::SocketAddr;
use std::sync::Arc;

use super::context::Context;
use super::delivery;
use super::error::ApiError;
use super::fault_injection::{self, Delivery};
use super::faults::{Action, Break};
use super::handlers;
use super::http::{BodyError, RequestBody, RequestError, RequestHead};
use super::parsed_request::ParsedRequest;
use super::recording;
use super::shutdown::ShutdownSignal;
use crate::http::body::Body;
use crate::http::request::Request;
use crate::http::response::Response;

/// Processes requests, on any number of threads at once.
pub(super) struct Service {
    pub(super) context: Context,
    /// The address that the emulator listens on.
    pub(super) addr: SocketAddr,
    pub(super) shutdown: Arc<ShutdownSignal>,
}

impl Service {
    /// Responds to a request, or breaks its connection.
    pub(super) fn serve(&self, mut request: Request) {
        let body = request.body.take();
        let delivery = match RequestHead::from_request(&request, &self.addr.to_string()) {
            Ok(head) => self.process_and_record(head, body),
            Err(error) => self.reject(body, error),
        };
        // No client gets a response that is only caused by the shutdown.
        let delivery =
            if self.shutdown.is_set() { Delivery::Break(Break::Close) } else { delivery };
        delivery::send(request, delivery);
    }

    /// Rejects a request whose head is malformed.
    fn reject(&self, body: Option<Body>, error: ApiError) -> Delivery {
        // A client that is still sending may not read a response. An incomplete body changes nothing.
        let _ = RequestBody::new(body, &self.shutdown, None).drain();
        Delivery::Response(error.into())
    }

    fn process_and_record(&self, head: RequestHead, body: Option<Body>) -> Delivery {
        let parsed = ParsedRequest::new(head, &self.context.sessions);
        let action = if parsed.is_control() {
            None
        } else {
            self.context.faults.next_action(parsed.kind, parsed.object.as_deref())
        };
        let fault = action.as_ref().and_then(fault_injection::body_fault);
        let mut body = RequestBody::new(body, &self.shutdown, fault);
        let delivery = self.process(&parsed, action.as_ref(), &mut body);
        if !parsed.is_control() {
            let faults = &self.context.faults;
            let received = body.received();
            recording::record_request(faults, &parsed, &delivery, received, action.is_some());
        }
        delivery
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
            Some(BodyError::Break(how)) => return Delivery::Break(how),
            Some(BodyError::RespondEarly) => return fault_injection::early_response(action),
            Some(BodyError::Incomplete) | None => {}
        }
        let response: Response = match result {
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
