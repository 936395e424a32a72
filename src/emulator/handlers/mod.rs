//! Request handlers: one function for each operation of the API, sorted by resource.

mod buckets;
mod control;
mod download;
mod objects;
mod uploads;

use super::context::Context;
use super::faults::Action;
use super::http::{RequestBody, RequestError};
use super::parsed_request::ParsedRequest;
use super::router::Operation;
use crate::http::response::Response;

/// Calls the handler of a request's operation.
pub(super) fn handle(
    context: &Context,
    parsed: &ParsedRequest,
    action: Option<&Action>,
    body: &mut RequestBody<'_>,
) -> Result<Response, RequestError> {
    // A fault before the first byte of the body takes effect before anything is done.
    body.apply_fault()?;
    let (store, faults, head) = (&context.store, &context.faults, &parsed.head);
    match parsed.operation.as_ref().map_err(Clone::clone)? {
        Operation::CreateBucket => buckets::create(store, head, body),
        Operation::GetBucket { bucket } => Ok(buckets::get(store, bucket, head)?),
        Operation::ListBuckets => Ok(buckets::list(store, head)),
        Operation::ListObjects { bucket } => Ok(objects::list(store, bucket, head)?),
        Operation::GetObject { bucket, name } => Ok(objects::get(store, bucket, name, head)?),
        Operation::Download { bucket, name } => Ok(download::download(store, bucket, name, head)?),
        Operation::DeleteObject { bucket, name } => Ok(objects::delete(store, bucket, name, head)?),
        Operation::UploadMedia { bucket } => uploads::media(store, bucket, head, body),
        Operation::UploadMultipart { bucket } => uploads::multipart(store, bucket, head, body),
        Operation::StartSession { bucket } => uploads::start_session(context, bucket, head, body),
        Operation::ContinueSession { .. } => {
            uploads::continue_session(context, parsed, action, body)
        }
        Operation::CancelSession { .. } => Ok(parsed.session()?.cancel().into()),
        Operation::InjectFaults => control::inject_faults(faults, body),
        Operation::ListFaults => Ok(control::list_faults(faults)),
        Operation::ClearFaults => Ok(control::clear_faults(faults)),
        Operation::ListRequests => Ok(control::list_requests(faults)),
        Operation::ClearRequests => Ok(control::clear_requests(faults)),
    }
}
