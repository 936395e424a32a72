//! One bucket, and the single requests that are made to it: looking at an object, deleting it,
//! opening a session ahead, cancelling one.

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

/// How requests are made again.
#[derive(Clone, Copy, Debug)]
pub struct RetryConfig {
    /// The upper bound of the first wait.
    pub initial_wait: Duration,
    /// The upper bound of every wait, `Retry-After` apart.
    pub max_wait: Duration,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self { initial_wait: Duration::from_millis(500), max_wait: Duration::from_secs(32) }
    }
}

/// A bucket, and all that a request to it takes.
#[derive(Clone)]
pub struct Bucket {
    /// Where Cloud Storage is.
    pub endpoint: Endpoint,
    /// The bucket's name.
    pub name: String,
    /// How requests are made again.
    pub retry: RetryConfig,
    /// What carries the requests.
    pub transport: Arc<dyn Transport>,
    /// Where the access tokens come from.
    pub tokens: Arc<dyn TokenSource>,
    /// Time and chance.
    pub clock: Arc<dyn Clock>,
}

/// What became of a session that was to be cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CancelOutcome {
    /// No object comes of it.
    Confirmed,
    /// It is over, with an object or without.
    Gone,
    /// It may go on: what is still on its way may become an object.
    Unknown,
}

impl Bucket {
    /// The metadata of an object; `None` if there is none of this name.
    ///
    /// # Errors
    /// What was tried and what came, for a person.
    pub fn get_metadata(&self, name: &str, timeout: Duration) -> Result<Option<Object>, String> {
        let url = self.endpoint.object(&self.name, name);
        let response = self.ask(Method::Get, &url, timeout)?;
        match response.status {
            200 => Object::from_json(&response.body)
                .map(Some)
                .map_err(|error| format!("GET {url} was answered with no object: {error}")),
            404 => Ok(None),
            status => {
                Err(format!("GET {url} was answered {status}: {}", gcs_message(&response.body)))
            }
        }
    }

    /// Deletes this generation of an object.
    ///
    /// # Errors
    /// What was tried and what came, for a person.
    pub fn delete(&self, name: &str, generation: &str, timeout: Duration) -> Result<(), String> {
        let url = self.endpoint.object(&self.name, name);
        let exact = format!("{url}?ifGenerationMatch={generation}");
        let response = self.ask(Method::Delete, &exact, timeout)?;
        match response.status {
            200 | 204 | 404 => Ok(()),
            status => {
                Err(format!("DELETE {url} was answered {status}: {}", gcs_message(&response.body)))
            }
        }
    }

    /// Opens a session for an object whose size is not known yet; not repeated.
    ///
    /// # Errors
    /// What was tried and what came, for a person.
    pub(super) fn open(
        &self,
        object: &NewObject,
        crc32c: Crc32c,
        timeout: Duration,
    ) -> Result<Session, String> {
        let tried = format!("POST {}/upload/storage/v1/b/{}/o", self.endpoint, self.name);
        let failed = |what: String| format!("{tried}: {what}");
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
            (200 | 201, None) => Err(failed("answered without a Location".to_owned())),
            (status, _) => {
                Err(failed(format!("answered {status}: {}", gcs_message(&response.body))))
            }
        }
    }

    /// Cancels a session
    /// (<https://docs.cloud.google.com/storage/docs/performing-resumable-uploads#cancel-upload>).
    pub(super) fn cancel(&self, session: &str, timeout: Duration) -> CancelOutcome {
        match self.ask(Method::Delete, session, timeout).map(|response| response.status) {
            Ok(499) => CancelOutcome::Confirmed,
            Ok(404 | 410) => CancelOutcome::Gone,
            Ok(status) => {
                debug!("a session's cancel was answered {status}");
                CancelOutcome::Unknown
            }
            Err(error) => {
                debug!("a session could not be cancelled: {error}");
                CancelOutcome::Unknown
            }
        }
    }

    /// One request without a body, not repeated, made even while the uploader is being stopped.
    fn ask(&self, method: Method, url: &str, timeout: Duration) -> Result<Response, String> {
        let tried = || {
            let path = url.split('?').next().unwrap_or_default();
            format!("{} {path}", method.as_str())
        };
        let began = self.clock.now();
        let token = self.tokens.token(timeout).map_err(|error| format!("{}: {error}", tried()))?;
        let waited = self.clock.now().saturating_duration_since(began);
        let timeout = timeout.saturating_sub(waited);
        let headers = token.iter().map(|token| ("authorization", token.authorization())).collect();
        let request = Request { method, url, headers, body: Body::Empty, timeout, urgent: true };
        self.transport.send(&request).map_err(|error| format!("{}: {error}", tried()))
    }
}
