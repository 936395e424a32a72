//! Uploads in one request.

use std::sync::Arc;

use super::announce_headers;
use super::multipart::{self, Multipart};
use crate::emulator::error::ApiError;
use crate::emulator::http::{BUFFER, Body, Failure, Head};
use crate::emulator::object::{Description, Object};
use crate::emulator::precondition::Preconditions;
use crate::emulator::store::Store;

/// `uploadType=media`: the body is the object.
pub(in crate::emulator) fn upload_media(
    store: &Store,
    bucket: &str,
    head: &Head,
    body: &mut Body<'_>,
) -> Result<Arc<Object>, Failure> {
    let preconditions = Preconditions::from_query(&head.query)?;
    let no_metadata = serde_json::Value::Null;
    let (description, mut announced) =
        Description::read(&no_metadata, head.query.get("name"), head.header("Content-Type"))?;
    announce_headers(&mut announced, head)?;
    store.check(bucket, &description.name, &preconditions)?;
    let mut staged = store.stage(bucket)?;
    loop {
        let mut block = Vec::new();
        body.fill(&mut block, BUFFER)?;
        if block.is_empty() {
            break;
        }
        staged.append(block).map_err(|error| ApiError::store("write the upload's file", &error))?;
    }
    Ok(store.put(bucket, description, staged, &announced, &preconditions)?)
}

/// `uploadType=multipart`: a part with the metadata, then one with the content.
pub(in crate::emulator) fn upload_multipart(
    store: &Store,
    bucket: &str,
    head: &Head,
    body: &mut Body<'_>,
) -> Result<Arc<Object>, Failure> {
    let preconditions = Preconditions::from_query(&head.query)?;
    let boundary = multipart::boundary(head.header("Content-Type").unwrap_or_default())?;
    let mut parts = Multipart::new(body, &boundary);
    let metadata = parts.metadata()?;
    let content_type = parts.content_type()?;
    let (description, mut announced) =
        Description::read(&metadata, head.query.get("name"), content_type.as_deref())?;
    announce_headers(&mut announced, head)?;
    store.check(bucket, &description.name, &preconditions)?;
    let mut staged = store.stage(bucket)?;
    while let Some(block) = parts.content()? {
        staged.append(block).map_err(|error| ApiError::store("write the upload's file", &error))?;
    }
    Ok(store.put(bucket, description, staged, &announced, &preconditions)?)
}
