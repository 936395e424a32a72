//! Upload of bytes that the client sends: one file, or the files of a form one after the other.
//!
//! The bytes go to the bucket as they arrive. They cannot be read again: an error on the client's side
//! ends the upload, and no object is stored.

use std::io;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::content::Source;
use crate::gcs::{ErrorKind, NewObject, UploadError, Uploaded};
use crate::http::body_source::{BodyError, BodySource};
use crate::http::multipart::{Boundary, Multipart, PartHead};
use crate::http::request_id::RequestId;
use crate::http::response::Response;
use crate::server::auth::Principal;
use crate::server::problem::{self, Problem};
use crate::server::uploads::checksums::DigestVerifier;
use crate::server::uploads::context::{Context, HandlerResult};
use crate::server::uploads::file_request::{BodyContent, Chosen, FileHead, FileUploadRequest};
use crate::server::uploads::outcome::{
    self, Created, ObjectState, UploadFailure, request_metadata,
};
use crate::server::uploads::registry::UploadHandle;

/// Uploads the body of a request.
///
/// Not inlined into its caller, whose stack frame the uploads of random bytes hold as well.
#[inline(never)]
pub(crate) fn upload(
    context: &Context,
    id: &RequestId,
    request: &FileUploadRequest,
    handle: &UploadHandle,
) -> HandlerResult {
    let remaining = context.config.max_upload_size.as_u64();
    let mut upload = FileUpload { context, id, request, handle, remaining };
    let length = request.body.content_length();
    let mut body = request.body.reader();
    match &request.content {
        BodyContent::File(head) => {
            let uploaded = upload.store(head.clone(), &mut *body, length)?;
            Ok(upload.created(&uploaded))
        }
        BodyContent::Form(boundary) => upload.store_form(boundary, &mut *body),
    }
}

/// State that the uploads of one request share.
struct FileUpload<'a> {
    context: &'a Context,
    id: &'a RequestId,
    request: &'a FileUploadRequest,
    handle: &'a UploadHandle,
    /// Bytes that may still be stored.
    remaining: u64,
}

impl FileUpload<'_> {
    fn created(&self, uploaded: &Uploaded) -> Response {
        Response::json(201, &Created::new(uploaded, self.id, None))
            .with_header("Location", &uploaded.object.self_link(&self.context.config.endpoint))
    }

    /// Stores the files of a form until one of them fails. Those that were stored before stay, and the
    /// response lists them.
    fn store_form(&mut self, boundary: &Boundary, body: &mut dyn BodySource) -> HandlerResult {
        let mut form = Multipart::new(body, boundary);
        let mut stored = Vec::new();
        match self.store_parts(&mut form, &mut stored) {
            Err(problem) if stored.is_empty() => Err(problem),
            Err(problem) => Err(problem.with("uploads", stored)),
            Ok(()) if stored.is_empty() => {
                let detail = "The form has no file: no part has a filename. Nothing was stored.";
                Err(Problem::new(&problem::MALFORMED_BODY, detail))
            }
            Ok(()) => {
                if let Err(error) = form.finish() {
                    log::debug!(requestId = self.id.as_str(); "cannot read the epilogue of a form: {error}");
                }
                let all = json!({"uploads": stored, "requestId": self.id.as_str()});
                Ok(Response::json(201, &all))
            }
        }
    }

    fn store_parts(
        &mut self,
        form: &mut Multipart<'_>,
        stored: &mut Vec<Value>,
    ) -> Result<(), Problem> {
        loop {
            let started = Instant::now();
            let part = form.next().map_err(|error| self.form_failed(&error, started.elapsed()))?;
            let Some(part) = part else { return Ok(()) };
            let Some(head) = self.file_head(&part, form)? else { continue };
            let uploaded = self.store(head, form, None)?;
            stored.push(json!(Created::new(&uploaded, self.id, None)));
        }
    }

    /// Returns the head of the file in this part, if there is one.
    fn file_head(
        &self,
        part: &PartHead,
        form: &mut Multipart<'_>,
    ) -> Result<Option<FileHead>, Problem> {
        let head =
            FileHead::of_part(part, self.request.naming, &self.context.config.object_prefix)?;
        match head {
            Some((head, Chosen::Yes)) => Ok(Some(head)),
            Some((head, Chosen::No)) => {
                let first =
                    form.fill().map_err(|error| self.form_failed(&error, Duration::ZERO))?;
                Ok(if first.is_empty() { None } else { Some(head) })
            }
            None => Ok(None),
        }
    }

    /// Stores one file.
    fn store(
        &mut self,
        head: FileHead,
        body: &mut dyn BodySource,
        length: Option<u64>,
    ) -> Result<Uploaded, Problem> {
        let FileHead { name, content_type, digests } = head;
        let metadata = request_metadata(self.id, self.request.principal.as_ref());
        let object = NewObject { name, content_type, metadata };
        let mut verified = VerifiedBody {
            body,
            length,
            remaining: self.remaining,
            maximum: self.context.config.max_upload_size.as_u64(),
            verifier: DigestVerifier::new(digests),
            error: None,
        };
        let context = self.context;
        let uploaded = outcome::run(context, self.id, &object.name, self.handle, |observer| {
            let (window, timeout) = (context.config.upload_window, context.config.upload_timeout);
            context.uploader.upload_stream(&object, &mut verified, window, timeout, observer)
        })?;
        match uploaded {
            Ok(uploaded) => {
                self.remaining -= uploaded.object.size.min(self.remaining);
                self.record_stored(&uploaded);
                Ok(uploaded)
            }
            Err(error) => Err(self.failed(&object.name, &error, verified.error.as_ref())),
        }
    }

    fn record_stored(&self, uploaded: &Uploaded) {
        let object = &uploaded.object;
        self.context.metrics.upload_ended("stored", uploaded.elapsed);
        self.context.metrics.object_stored(object.size);
        log::info!(
            requestId = self.id.as_str(),
            caller = Principal::log_name(self.request.principal.as_ref()),
            name = object.name.as_str(),
            size = object.size,
            crc32c:% = object.crc32c,
            generation = object.generation.as_str(),
            resumed = uploaded.resumed,
            retried = uploaded.retried,
            bytesSent = uploaded.bytes_sent,
            durationSeconds = uploaded.elapsed.as_secs_f64();
            "stored {}", object.gs_uri()
        );
    }

    fn failed(&self, name: &str, error: &UploadError, body_error: Option<&BodyError>) -> Problem {
        let failure = match (error.kind(), body_error) {
            (ErrorKind::Source, Some(body_error)) => failure_of(body_error),
            // The client did not send enough for a window within UPLOAD_TIMEOUT.
            (ErrorKind::Source, None) => {
                UploadFailure { problem: &problem::REQUEST_TIMEOUT, outcome: "client-slow" }
            }
            (ErrorKind::Conflict, _) => {
                UploadFailure { problem: &problem::OBJECT_EXISTS, outcome: "name-taken" }
            }
            (kind, _) => UploadFailure::of(kind),
        };
        failure.record(
            self.context,
            self.id,
            Principal::log_name(self.request.principal.as_ref()),
            name,
            error,
        );
        let detail = match error.kind() {
            ErrorKind::Conflict => format!(
                "An object with this name already exists and was not changed ({error}). Choose another \
                 name, or add ?unique=1."
            ),
            _ => format!("{error}. {}", ObjectState::after(error).sentence(name)),
        };
        match body_error {
            Some(BodyError::TooLarge(maximum)) => {
                failure.to_problem(name, error, detail).with("maximum", *maximum)
            }
            _ => failure.to_problem(name, error, detail),
        }
    }

    /// Records an error of the body between two files, and returns its problem.
    fn form_failed(&self, error: &BodyError, took: Duration) -> Problem {
        let UploadFailure { problem, outcome } = failure_of(error);
        self.context.metrics.upload_ended(outcome, took);
        log::warn!(
            requestId = self.id.as_str(),
            caller = Principal::log_name(self.request.principal.as_ref()),
            outcome = outcome,
            durationSeconds = took.as_secs_f64();
            "failed to read a form: {error}"
        );
        Problem::new(problem, format!("{error}."))
    }
}

/// Returns the problem type and metric label of an error of the body.
fn failure_of(error: &BodyError) -> UploadFailure {
    let (problem, outcome) = match error {
        BodyError::Disconnected => (&problem::INCOMPLETE_BODY, "client-gone"),
        BodyError::Stalled(_) => (&problem::REQUEST_TIMEOUT, "client-stalled"),
        BodyError::TooSlow(_) => (&problem::REQUEST_TIMEOUT, "client-slow"),
        BodyError::TooLarge(_) => (&problem::SIZE_TOO_LARGE, "too-large"),
        BodyError::Malformed(_) => (&problem::MALFORMED_BODY, "malformed"),
        BodyError::ChecksumMismatch(_) => (&problem::CHECKSUM_MISMATCH, "checksum-mismatch"),
        BodyError::Cancelled => (&problem::INTERRUPTED, "interrupted"),
    };
    UploadFailure { problem, outcome }
}

/// Body as the uploader reads it: with its limit and its digests verified.
struct VerifiedBody<'a> {
    body: &'a mut dyn BodySource,
    length: Option<u64>,
    remaining: u64,
    maximum: u64,
    verifier: DigestVerifier,
    /// Error that ended the body early.
    error: Option<BodyError>,
}

impl VerifiedBody<'_> {
    fn next(&mut self, buffer: &mut [u8]) -> Result<usize, BodyError> {
        let available = self.body.fill()?;
        if available.is_empty() {
            self.verifier.verify()?;
            return Ok(0);
        }
        if available.len() as u64 > self.remaining {
            return Err(BodyError::TooLarge(self.maximum));
        }
        let count = available.len().min(buffer.len());
        let buffer = &mut buffer[..count];
        buffer.copy_from_slice(&available[..count]);
        self.verifier.update(buffer);
        self.body.consume(count);
        self.remaining -= count as u64;
        Ok(count)
    }
}

impl Source for VerifiedBody<'_> {
    fn declared_size(&self) -> Option<u64> {
        self.length
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.next(buffer).map_err(|body_error| {
            let error = io::Error::other(body_error.to_string());
            self.error = Some(body_error);
            error
        })
    }
}
