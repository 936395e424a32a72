//! Uploads in one request.

use std::sync::Arc;

use super::expect_header_checksums;
use super::multipart::{self, Multipart};
use crate::emulator::error::ApiError;
use crate::emulator::http::{BUFFER_SIZE, RequestBody, RequestError, RequestHead};
use crate::emulator::object::{Object, ObjectMetadata};
use crate::emulator::precondition::Preconditions;
use crate::emulator::store::Store;

/// `uploadType=media`: the request body is the object's content.
pub(in crate::emulator) fn upload_media(
    store: &Store,
    bucket: &str,
    head: &RequestHead,
    body: &mut RequestBody<'_>,
) -> Result<Arc<Object>, RequestError> {
    let preconditions = Preconditions::from_query(&head.query)?;
    let no_metadata = serde_json::Value::Null;
    let (metadata, mut expected) =
        ObjectMetadata::parse(&no_metadata, head.query.get("name"), head.header("Content-Type"))?;
    expect_header_checksums(&mut expected, head)?;
    store.check(bucket, &metadata.name, &preconditions)?;
    let mut staged = store.stage(bucket)?;
    loop {
        let mut block = Vec::new();
        body.fill(&mut block, BUFFER_SIZE)?;
        if block.is_empty() {
            break;
        }
        staged
            .append(block)
            .map_err(|error| ApiError::storage_failed("write the upload's file", &error))?;
    }
    Ok(store.put(bucket, metadata, staged, &expected, &preconditions)?)
}

/// `uploadType=multipart`: a part with the metadata, then a part with the content.
pub(in crate::emulator) fn upload_multipart(
    store: &Store,
    bucket: &str,
    head: &RequestHead,
    body: &mut RequestBody<'_>,
) -> Result<Arc<Object>, RequestError> {
    let preconditions = Preconditions::from_query(&head.query)?;
    let boundary = multipart::boundary(head.header("Content-Type").unwrap_or_default())?;
    let mut parts = Multipart::new(body, &boundary);
    let json = parts.metadata()?;
    let content_type = parts.content_type()?;
    let (metadata, mut expected) =
        ObjectMetadata::parse(&json, head.query.get("name"), content_type.as_deref())?;
    expect_header_checksums(&mut expected, head)?;
    store.check(bucket, &metadata.name, &preconditions)?;
    let mut staged = store.stage(bucket)?;
    while let Some(block) = parts.content()? {
        staged
            .append(block)
            .map_err(|error| ApiError::storage_failed("write the upload's file", &error))?;
    }
    Ok(store.put(bucket, metadata, staged, &expected, &preconditions)?)
}
