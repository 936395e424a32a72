//! Uploads: in one request, or in a session.

use crate::emulator::context::Context;
use crate::emulator::faults::Action;
use crate::emulator::http::{
    RequestBody, RequestError, RequestHead, empty_response, json_response,
};
use crate::emulator::parsed_request::ParsedRequest;
use crate::emulator::recording;
use crate::emulator::store::Store;
use crate::emulator::upload::{SessionProgress, upload_media, upload_multipart};
use crate::http::response::Response;

pub(super) fn media(
    store: &Store,
    bucket: &str,
    head: &RequestHead,
    body: &mut RequestBody<'_>,
) -> Result<Response, RequestError> {
    let object = upload_media(store, bucket, head, body)?;
    Ok(json_response(200, &object.resource(&head.base_url())))
}

pub(super) fn multipart(
    store: &Store,
    bucket: &str,
    head: &RequestHead,
    body: &mut RequestBody<'_>,
) -> Result<Response, RequestError> {
    let object = upload_multipart(store, bucket, head, body)?;
    Ok(json_response(200, &object.resource(&head.base_url())))
}

pub(super) fn start_session(
    context: &Context,
    bucket: &str,
    head: &RequestHead,
    body: &mut RequestBody<'_>,
) -> Result<Response, RequestError> {
    let id = context.sessions.start(&context.store, bucket, head, body)?;
    let path = format!("upload/storage/v1/b/{bucket}/o");
    let query = format!("uploadType=resumable&upload_id={id}");
    Ok(empty_response(200)
        .with_header("Location", &format!("{}/{path}?{query}", head.base_url()))
        .with_header("X-GUploader-UploadID", &id))
}

pub(super) fn continue_session(
    context: &Context,
    parsed: &ParsedRequest,
    action: Option<&Action>,
    body: &mut RequestBody<'_>,
) -> Result<Response, RequestError> {
    let session = parsed.session()?;
    let range = parsed.content_range.clone().transpose()?;
    recording::record_suspicious_chunk(&context.faults, parsed, range, body);
    let persist_at_most = match action {
        Some(Action::PersistAtMost { bytes }) => Some(*bytes),
        _ => None,
    };
    match session.receive(&context.store, &parsed.head, range, body, persist_at_most)? {
        SessionProgress::Persisted(0) => Ok(empty_response(308)),
        SessionProgress::Persisted(bytes) => {
            Ok(empty_response(308).with_header("Range", &format!("bytes=0-{}", bytes - 1)))
        }
        SessionProgress::Complete(object) => {
            Ok(json_response(200, &object.resource(&parsed.head.base_url())))
        }
    }
}
