//! Buckets: create, get, list.

use serde_json::{Value, json};

use crate::emulator::error::ApiError;
use crate::emulator::http::{RequestBody, RequestError, RequestHead, json_response};
use crate::emulator::object::bucket_resource;
use crate::emulator::store::Store;
use crate::http::response::Response;

pub(super) fn create(
    store: &Store,
    head: &RequestHead,
    body: &mut RequestBody<'_>,
) -> Result<Response, RequestError> {
    let resource = body.json()?;
    let name = resource.get("name").and_then(Value::as_str).ok_or_else(|| {
        ApiError::new(400, "required", "Required parameter: name (of the bucket).")
    })?;
    let created = store.create_bucket(name)?;
    Ok(json_response(200, &bucket_resource(name, created, &head.base_url())))
}

pub(super) fn get(store: &Store, bucket: &str, head: &RequestHead) -> Result<Response, ApiError> {
    let created = store.bucket(bucket)?;
    Ok(json_response(200, &bucket_resource(bucket, created, &head.base_url())))
}

pub(super) fn list(store: &Store, head: &RequestHead) -> Response {
    let base_url = head.base_url();
    let prefix = head.query.get("prefix").unwrap_or_default();
    let buckets = store.buckets();
    let items: Vec<_> = buckets
        .iter()
        .filter(|(name, _)| name.starts_with(prefix))
        .map(|(name, created)| bucket_resource(name, *created, &base_url))
        .collect();
    json_response(200, &json!({"kind": "storage#buckets", "items": items}))
}
