//! The upload of what a client sends: one file, or those of a form, one after the other.
//!
//! The bytes go to the bucket as they come in. They come once: whatever goes wrong on the client's
//! side ends the upload, and no object is left.

use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::content::Source;
use crate::gcs::{ErrorKind, NewObject, UploadError, Uploaded};
use crate::http::body_source::{Bytes, Fault};
use crate::http::multipart::{Boundary, Multipart, PartHead};
use crate::http::request_id::RequestId;
use crate::http::response::Answer;
use crate::server::problem::{self, Problem};
use crate::server::uploads::checksums::Check;
use crate::server::uploads::context::{Face, Reply};
use crate::server::uploads::file_request::{Chosen, FileHead, FileOrder, Payload};
use crate::server::uploads::random::{Created, Failure, Left, Watcher, location, origin, panicked};
use crate::server::uploads::registry::Underway;

/// Uploads what the client sends, and says what became of it.
///
/// Not within its caller, whose stack frame the uploads of random bytes hold as well.
#[inline(never)]
pub(crate) fn run(face: &Face, id: &RequestId, order: &FileOrder, underway: &Underway) -> Reply {
    let left = face.config.max_upload_size.as_u64();
    let mut upload = FileUpload { face, id, order, underway, left };
    let announced = order.body.announced();
    let mut body = order.body.open();
    match &order.payload {
        Payload::File(head) => {
            let uploaded = upload.store(head.clone(), &mut *body, announced)?;
            Ok(upload.created(&uploaded))
        }
        Payload::Form(boundary) => upload.store_form(boundary, &mut *body),
    }
}

/// What a request's uploads have in common.
struct FileUpload<'a> {
    face: &'a Face,
    id: &'a RequestId,
    order: &'a FileOrder,
    underway: &'a Underway,
    /// How many bytes may still be stored.
    left: u64,
}

impl FileUpload<'_> {
    fn created(&self, uploaded: &Uploaded) -> Answer {
        Answer::json(201, &Created::of(uploaded, self.id, None))
            .with_header("Location", &location(&self.face.config.endpoint, &uploaded.object))
    }

    /// Stores the files of a form, until one of them cannot be. Those that were stored before that
    /// stay, and the answer has them.
    fn store_form(&mut self, boundary: &Boundary, body: &mut dyn Bytes) -> Reply {
        let mut form = Multipart::new(body, boundary);
        let mut stored = Vec::new();
        match self.store_parts(&mut form, &mut stored) {
            Err(problem) if stored.is_empty() => Err(problem),
            Err(problem) => Err(problem.with("uploads", stored)),
            Ok(()) if stored.is_empty() => {
                let detail = "The form has no file: no part with a filename. Nothing was stored.";
                Err(Problem::new(&problem::MALFORMED_BODY, detail))
            }
            Ok(()) => {
                if let Err(fault) = form.finish() {
                    log::debug!(requestId = self.id.as_str(); "behind the form's end: {fault}");
                }
                let all = json!({"uploads": stored, "requestId": self.id.as_str()});
                Ok(Answer::json(201, &all))
            }
        }
    }

    fn store_parts(
        &mut self,
        form: &mut Multipart<'_>,
        stored: &mut Vec<Value>,
    ) -> Result<(), Problem> {
        loop {
            let began = Instant::now();
            let part = form.next().map_err(|fault| self.ended(&fault, began.elapsed()))?;
            let Some(part) = part else { return Ok(()) };
            let Some(head) = self.file_in(&part, form)? else { continue };
            let uploaded = self.store(head, form, None)?;
            stored.push(json!(Created::of(&uploaded, self.id, None)));
        }
    }

    /// The head of the file in this part, if there is one.
    fn file_in(
        &self,
        part: &PartHead,
        form: &mut Multipart<'_>,
    ) -> Result<Option<FileHead>, Problem> {
        let head = FileHead::of_part(part, self.order.naming, &self.face.config.object_prefix)?;
        match head {
            Some((head, Chosen::Yes)) => Ok(Some(head)),
            Some((head, Chosen::No)) => {
                let first = form.fill().map_err(|fault| self.ended(&fault, Duration::ZERO))?;
                Ok(if first.is_empty() { None } else { Some(head) })
            }
            None => Ok(None),
        }
    }

    /// Stores one file.
    fn store(
        &mut self,
        head: FileHead,
        bytes: &mut dyn Bytes,
        announced: Option<u64>,
    ) -> Result<Uploaded, Problem> {
        let FileHead { name, content_type, stated } = head;
        let metadata = origin(self.id, self.order.caller.as_ref());
        let object = NewObject { name, content_type, metadata };
        let mut sent = Sent {
            bytes,
            announced,
            left: self.left,
            maximum: self.face.config.max_upload_size.as_u64(),
            check: Check::of(stated),
            fault: None,
        };
        let began = Instant::now();
        let observer = Watcher {
            metrics: &self.face.metrics,
            underway: self.underway,
            id: self.id,
            name: &object.name,
        };
        self.underway.begins(&object.name);
        let uploading = AssertUnwindSafe(|| {
            let (window, timeout) =
                (self.face.config.upload_window, self.face.config.upload_timeout);
            self.face.uploader.upload_stream(&object, &mut sent, window, timeout, &observer)
        });
        match panic::catch_unwind(uploading) {
            Ok(Ok(uploaded)) => {
                self.left -= uploaded.object.size.min(self.left);
                self.note_stored(&uploaded);
                Ok(uploaded)
            }
            Ok(Err(error)) => Err(self.failed(&object.name, &error, sent.fault.as_ref())),
            Err(_) => Err(panicked(self.face, self.id, &object.name, began.elapsed())),
        }
    }

    fn note_stored(&self, uploaded: &Uploaded) {
        let object = &uploaded.object;
        self.face.metrics.upload_ended("stored", uploaded.elapsed);
        self.face.metrics.stored(object.size);
        log::info!(
            requestId = self.id.as_str(),
            caller = self.order.caller_in_log(),
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

    fn failed(&self, name: &str, error: &UploadError, fault: Option<&Fault>) -> Problem {
        let failure = match (error.kind(), fault) {
            (ErrorKind::Source, Some(fault)) => failure_of(fault),
            // Whatever it sent, it was not enough for a part within UPLOAD_TIMEOUT.
            (ErrorKind::Source, None) => {
                Failure { problem: &problem::REQUEST_TIMEOUT, outcome: "client-slow" }
            }
            (ErrorKind::Conflict, _) => {
                Failure { problem: &problem::OBJECT_EXISTS, outcome: "name-taken" }
            }
            (kind, _) => Failure::of(kind),
        };
        failure.note(self.face, self.id, self.order.caller_in_log(), name, error);
        let detail = match error.kind() {
            ErrorKind::Conflict => format!(
                "{error}. It was not changed: send the file under another name, or with unique=1."
            ),
            _ => format!("{error}. {}", Left::by(error).sentence(name)),
        };
        match fault {
            Some(Fault::TooLarge(maximum)) => {
                failure.told(name, error, detail).with("maximum", *maximum)
            }
            _ => failure.told(name, error, detail),
        }
    }

    /// The client's body came to a bad end where no file was being stored.
    fn ended(&self, fault: &Fault, took: Duration) -> Problem {
        let Failure { problem, outcome } = failure_of(fault);
        self.face.metrics.upload_ended(outcome, took);
        log::warn!(
            requestId = self.id.as_str(),
            caller = self.order.caller_in_log(),
            outcome = outcome,
            durationSeconds = took.as_secs_f64();
            "failed to read a form: {fault}"
        );
        Problem::new(problem, format!("{fault}."))
    }
}

/// What a fault of the client's means to those outside.
fn failure_of(fault: &Fault) -> Failure {
    let (problem, outcome) = match fault {
        Fault::Gone => (&problem::INCOMPLETE_BODY, "client-gone"),
        Fault::Stalled(_) => (&problem::REQUEST_TIMEOUT, "client-stalled"),
        Fault::Slow(_) => (&problem::REQUEST_TIMEOUT, "client-slow"),
        Fault::TooLarge(_) => (&problem::SIZE_TOO_LARGE, "too-large"),
        Fault::Malformed(_) => (&problem::MALFORMED_BODY, "malformed"),
        Fault::Mismatch(_) => (&problem::CHECKSUM_MISMATCH, "checksum-mismatch"),
        Fault::Interrupted => (&problem::INTERRUPTED, "interrupted"),
    };
    Failure { problem, outcome }
}

/// A file as the uploader reads it: held to its limit, and to its checksums.
struct Sent<'a> {
    bytes: &'a mut dyn Bytes,
    announced: Option<u64>,
    left: u64,
    maximum: u64,
    check: Check,
    /// Why it could not be read on.
    fault: Option<Fault>,
}

impl Sent<'_> {
    fn next(&mut self, buffer: &mut [u8]) -> Result<usize, Fault> {
        let come = self.bytes.fill()?;
        if come.is_empty() {
            self.check.verify()?;
            return Ok(0);
        }
        if come.len() as u64 > self.left {
            return Err(Fault::TooLarge(self.maximum));
        }
        let count = come.len().min(buffer.len());
        let (buffer, come) = (&mut buffer[..count], &come[..count]);
        buffer.copy_from_slice(come);
        self.check.update(buffer);
        self.bytes.consume(count);
        self.left -= count as u64;
        Ok(count)
    }
}

impl Source for Sent<'_> {
    fn announced(&self) -> Option<u64> {
        self.announced
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.next(buffer).map_err(|fault| {
            let error = io::Error::other(fault.to_string());
            self.fault = Some(fault);
            error
        })
    }
}
