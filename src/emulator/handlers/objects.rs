//! Objects: list, get the metadata, delete.

use serde_json::json;

use crate::emulator::error::ApiError;
use crate::emulator::http::{RequestHead, empty_response, json_response};
use crate::emulator::precondition::Preconditions;
use crate::emulator::store::{ListQuery, Store};
use crate::http::response::Response;

pub(super) fn list(store: &Store, bucket: &str, head: &RequestHead) -> Result<Response, ApiError> {
    let listing = store.list(bucket, &ListQuery::from_query(&head.query)?)?;
    let base_url = head.base_url();
    let items: Vec<_> = listing.objects.iter().map(|object| object.resource(&base_url)).collect();
    let mut page = json!({"kind": "storage#objects"});
    if !items.is_empty() {
        page["items"] = json!(items);
    }
    if !listing.prefixes.is_empty() {
        page["prefixes"] = json!(listing.prefixes);
    }
    if let Some(token) = listing.next_page_token {
        page["nextPageToken"] = json!(token);
    }
    Ok(json_response(200, &page))
}

pub(super) fn get(
    store: &Store,
    bucket: &str,
    name: &str,
    head: &RequestHead,
) -> Result<Response, ApiError> {
    let preconditions = Preconditions::from_query(&head.query)?;
    let object = store.get(bucket, name, head.query.number("generation")?)?;
    preconditions.check_read(object.version)?;
    let resource = object.resource(&head.base_url());
    Ok(json_response(200, &resource).with_header("ETag", &object.etag()))
}

pub(super) fn delete(
    store: &Store,
    bucket: &str,
    name: &str,
    head: &RequestHead,
) -> Result<Response, ApiError> {
    let preconditions = Preconditions::from_query(&head.query)?;
    let generation = head.query.number("generation")?;
    store.delete(bucket, name, generation, &preconditions)?;
    Ok(empty_response(204))
}
