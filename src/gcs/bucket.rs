//! A bucket, and its single requests: get an object's metadata, delete an object, open a session in
//! advance, cancel a session.

use std::sync::Arc;
use std::time::Duration;

use log::debug;

use crate::content::Crc32c;

use super::clock::Clock;
use super::credentials::TokenSource;
use super::message::gcs_message;
use super::session::Session;
use super::transport::{Body, Method, Request, Response, Transport};
use super::{Endpoint, NewObject, Object};

/// Back-off between retries.
#[derive(Clone, Copy, Debug)]
pub struct RetryConfig {
    /// Upper bound of the first wait.
    pub initial_wait: Duration,
    /// Upper bound of every wait, except those from `Retry-After`.
    pub max_wait: Duration,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self { initial_wait: Duration::from_millis(500), max_wait: Duration::from_secs(32) }
    }
}

/// A bucket, with everything that a request to it needs.
#[derive(Clone)]
pub struct Bucket {
    /// Base URL of Cloud Storage or an emulator.
    pub endpoint: Endpoint,
    /// Name of the bucket.
    pub name: String,
    /// Back-off between retries.
    pub retry: RetryConfig,
    /// Sends the requests.
    pub transport: Arc<dyn Transport>,
    /// Supplies access tokens.
    pub tokens: Arc<dyn TokenSource>,
    /// Supplies time and randomness.
    pub clock: Arc<dyn Clock>,
}

/// Result of cancelling a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CancelOutcome {
    /// The session is cancelled and leaves no object.
    Confirmed,
    /// The session had ended before, with or without an object.
    Gone,
    /// Unknown: the session may still be active, and bytes in flight may still complete the object.
    Unknown,
}

impl Bucket {
    /// Returns the metadata of an object, or `None` if no object has this name.
    ///
    /// # Errors
    /// The request and what happened, as a readable sentence.
    pub fn get_metadata(&self, name: &str, timeout: Duration) -> Result<Option<Object>, String> {
        let url = self.endpoint.object(&self.name, name);
        let response = self.send_urgent(Method::Get, &url, timeout)?;
        match response.status {
            200 => Object::from_json(&response.body)
                .map(Some)
                .map_err(|error| format!("GET {url} returned an invalid object resource: {error}")),
            404 => Ok(None),
            status => Err(format!("GET {url} returned {status}: {}", gcs_message(&response.body))),
        }
    }

    /// Deletes one generation of an object. Succeeds if it does not exist.
    ///
    /// # Errors
    /// The request and what happened, as a readable sentence.
    pub fn delete(&self, name: &str, generation: &str, timeout: Duration) -> Result<(), String> {
        let url = self.endpoint.object(&self.name, name);
        let exact = format!("{url}?ifGenerationMatch={generation}");
        let response = self.send_urgent(Method::Delete, &exact, timeout)?;
        match response.status {
            200 | 204 | 404 => Ok(()),
            status => {
                Err(format!("DELETE {url} returned {status}: {}", gcs_message(&response.body)))
            }
        }
    }

    /// Opens a session for an object of unknown size. Makes a single attempt.
    ///
    /// # Errors
    /// The request and what happened, as a readable sentence.
    pub(super) fn open(
        &self,
        object: &NewObject,
        crc32c: Crc32c,
        timeout: Duration,
    ) -> Result<Session, String> {
        let request_line = format!("POST {}/upload/storage/v1/b/{}/o", self.endpoint, self.name);
        let failed = |what: String| format!("{request_line}: {what}");
        let token = self.tokens.token(timeout).map_err(|error| failed(error.to_string()))?;
        let mut headers = vec![
            ("content-type", "application/json; charset=utf-8".to_owned()),
            ("x-upload-content-type", object.content_type.clone()),
        ];
        headers.extend(token.iter().map(|token| ("authorization", token.authorization())));
        let url = self.endpoint.start(&self.name, &object.name);
        let metadata = object.to_json(Some(crc32c));
        let body = Body::Bytes(metadata.as_bytes());
        let request =
            Request { method: Method::Post, url: &url, headers, body, timeout, urgent: false };
        let response = self.transport.send(&request).map_err(|error| failed(error.to_string()))?;
        match (response.status, response.location) {
            (200 | 201, Some(location)) => {
                self.endpoint.session(&location).map_err(|error| failed(error.to_string()))
            }
            (200 | 201, None) => Err(failed("the response has no Location header".to_owned())),
            (status, _) => {
                Err(failed(format!("returned {status}: {}", gcs_message(&response.body))))
            }
        }
    }

    /// Cancels a session
    /// (<https://docs.cloud.google.com/storage/docs/performing-resumable-uploads#cancel-upload>).
    pub(super) fn cancel(&self, session: &str, timeout: Duration) -> CancelOutcome {
        match self.send_urgent(Method::Delete, session, timeout).map(|response| response.status) {
            Ok(499) => CancelOutcome::Confirmed,
            Ok(404 | 410) => CancelOutcome::Gone,
            Ok(status) => {
                debug!("cancelling a session returned {status}");
                CancelOutcome::Unknown
            }
            Err(error) => {
                debug!("cannot cancel a session: {error}");
                CancelOutcome::Unknown
            }
        }
    }

    /// Sends one request without a body, in a single attempt. It is sent even after an interrupt.
    fn send_urgent(
        &self,
        method: Method,
        url: &str,
        timeout: Duration,
    ) -> Result<Response, String> {
        let request_line = || {
            let path = url.split('?').next().unwrap_or_default();
            format!("{} {path}", method.as_str())
        };
        let began = self.clock.now();
        let token =
            self.tokens.token(timeout).map_err(|error| format!("{}: {error}", request_line()))?;
        let token_wait = self.clock.now().saturating_duration_since(began);
        let timeout = timeout.saturating_sub(token_wait);
        let headers = token.iter().map(|token| ("authorization", token.authorization())).collect();
        let request = Request { method, url, headers, body: Body::Empty, timeout, urgent: true };
        self.transport.send(&request).map_err(|error| format!("{}: {error}", request_line()))
    }
}
