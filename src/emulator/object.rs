//! Objects and buckets, and their JSON resources
//! (<https://docs.cloud.google.com/storage/docs/json_api/v1/objects#resource>).

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use humantime::format_rfc3339_millis;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::checksum::{Checksums, ExpectedChecksums};
use super::error::ApiError;
use super::http::BUFFER_SIZE;
use super::precondition::ObjectVersion;

/// The longest object name, in bytes of UTF-8.
const MAX_NAME: usize = 1024;
/// Characters that are not percent-encoded in a segment of a URL's path.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// The resource fields that are stored exactly as the client sent them.
const CLIENT_FIELDS: [&str; 5] =
    ["cacheControl", "contentDisposition", "contentEncoding", "contentLanguage", "customTime"];

/// The part of an object's metadata that its client sets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct ObjectMetadata {
    pub(super) name: String,
    pub(super) content_type: String,
    /// Custom metadata.
    #[serde(rename = "metadata")]
    pub(super) custom: Map<String, Value>,
    /// Other fields of the resource.
    pub(super) fields: Map<String, Value>,
}

impl ObjectMetadata {
    /// Parses the metadata of an upload. A name in the query overrides the one in the metadata;
    /// `content_type` is the default for metadata without one.
    pub(super) fn parse(
        json: &Value,
        name_in_query: Option<&str>,
        content_type: Option<&str>,
    ) -> Result<(Self, ExpectedChecksums), ApiError> {
        let text = |field: &str| match json.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(ApiError::invalid(format!("{field} must be a string."))),
        };
        let name = name_in_query.or(text("name")?);
        let name = name.ok_or_else(|| {
            ApiError::new(400, "required", "Required parameter: name (of the object).")
        })?;
        check_name(name)?;
        let mut expected = ExpectedChecksums::default();
        if let Some(crc32c) = text("crc32c")? {
            expected.expect_crc32c(crc32c)?;
        }
        if let Some(md5) = text("md5Hash")? {
            expected.expect_md5(md5)?;
        }
        let mut fields = Map::new();
        for field in CLIENT_FIELDS {
            if let Some(value) = text(field)? {
                fields.insert(field.to_owned(), value.into());
            }
        }
        let content_type = text("contentType")?.or(content_type);
        let metadata = Self {
            name: name.to_owned(),
            content_type: content_type.unwrap_or("application/octet-stream").to_owned(),
            custom: custom_metadata(json)?,
            fields,
        };
        Ok((metadata, expected))
    }

    /// Adds custom metadata; it overrides existing values of the same keys.
    pub(super) fn with_custom(mut self, custom: Map<String, Value>) -> Self {
        self.custom.extend(custom);
        self
    }
}

fn custom_metadata(json: &Value) -> Result<Map<String, Value>, ApiError> {
    match json.get("metadata") {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(custom)) if custom.values().all(Value::is_string) => Ok(custom.clone()),
        Some(_) => Err(ApiError::invalid("metadata must be an object of strings.")),
    }
}

/// Checks the rules of <https://docs.cloud.google.com/storage/docs/objects#naming>.
fn check_name(name: &str) -> Result<(), ApiError> {
    let error = match name {
        "" => "is empty",
        "." | ".." => "is . or ..",
        _ if name.len() > MAX_NAME => "is longer than 1024 bytes",
        _ if name.contains(['\r', '\n']) => "contains a line break",
        _ if name.starts_with(".well-known/acme-challenge/") => {
            "begins with .well-known/acme-challenge/"
        }
        _ => return Ok(()),
    };
    Err(ApiError::invalid(format!("The object's name {error}.")))
}

/// Checks the rules of <https://docs.cloud.google.com/storage/docs/buckets#naming>. A valid bucket
/// name is also a safe folder name.
pub(super) fn check_bucket_name(name: &str) -> Result<(), ApiError> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let valid = (3..=222).contains(&name.len())
        && name.bytes().all(|byte| plain(byte) || b"-_.".contains(&byte))
        && name.bytes().next().is_some_and(plain)
        && name.bytes().last().is_some_and(plain)
        && name.split('.').all(|part| (1..=63).contains(&part.len()));
    if valid {
        return Ok(());
    }
    Err(ApiError::invalid(format!(
        "Invalid bucket name: {:?}. Use 3 to 63 lower-case letters, digits, - and _, with a letter or a digit at both ends.",
        name.chars().take(80).collect::<String>()
    )))
}

/// The location of an object's bytes.
#[derive(Debug)]
pub(super) enum Content {
    Memory(Vec<Vec<u8>>),
    File(PathBuf),
}

/// A stored object.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) bucket: String,
    pub(super) metadata: ObjectMetadata,
    pub(super) version: ObjectVersion,
    pub(super) size: u64,
    pub(super) checksums: Checksums,
    pub(super) created: SystemTime,
    pub(super) content: Content,
}

impl Object {
    pub(super) fn name(&self) -> &str {
        &self.metadata.name
    }

    pub(super) fn etag(&self) -> String {
        let ObjectVersion { generation, metageneration } = self.version;
        STANDARD.encode(format!("{generation}/{metageneration}"))
    }

    /// The value of a download's `x-goog-hash` header.
    pub(super) fn hash_header(&self) -> String {
        format!("crc32c={},md5={}", self.checksums.crc32c_text(), self.checksums.md5_text())
    }

    /// The object's JSON resource, with links below `base_url`.
    pub(super) fn resource(&self, base_url: &str) -> Value {
        let ObjectVersion { generation, metageneration } = self.version;
        let (bucket, name) = (&self.bucket, self.name());
        let path = format!("storage/v1/b/{bucket}/o/{}", utf8_percent_encode(name, SEGMENT));
        let created = format_rfc3339_millis(self.created).to_string();
        let mut resource = json!({
            "kind": "storage#object",
            "id": format!("{bucket}/{name}/{generation}"),
            "selfLink": format!("{base_url}/{path}"),
            "mediaLink": format!("{base_url}/download/{path}?generation={generation}&alt=media"),
            "name": name,
            "bucket": bucket,
            "generation": generation.to_string(),
            "metageneration": metageneration.to_string(),
            "contentType": self.metadata.content_type,
            "storageClass": "STANDARD",
            "size": self.size.to_string(),
            "md5Hash": self.checksums.md5_text(),
            "crc32c": self.checksums.crc32c_text(),
            "etag": self.etag(),
            "timeCreated": created,
            "updated": created,
            "timeStorageClassUpdated": created,
            "timeFinalized": created,
        });
        for (field, value) in &self.metadata.fields {
            resource[field] = value.clone();
        }
        if !self.metadata.custom.is_empty() {
            resource["metadata"] = Value::Object(self.metadata.custom.clone());
        }
        resource
    }

    /// Opens `length` bytes of the content, starting at `start`.
    pub(super) fn read(
        self: &Arc<Self>,
        start: u64,
        length: u64,
    ) -> io::Result<Box<dyn Read + Send>> {
        match &self.content {
            Content::Memory(_) => {
                let object = Arc::clone(self);
                Ok(Box::new(MemoryReader { object, position: start }.take(length)))
            }
            Content::File(path) => {
                let mut file = File::open(path)?;
                file.seek(SeekFrom::Start(start))?;
                Ok(Box::new(io::BufReader::with_capacity(BUFFER_SIZE, file.take(length))))
            }
        }
    }
}

/// Reads an object in memory.
struct MemoryReader {
    object: Arc<Object>,
    position: u64,
}

impl Read for MemoryReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Content::Memory(blocks) = &self.object.content else { return Ok(0) };
        // Every block except the last has the size of a full buffer.
        let block = usize::try_from(self.position / BUFFER_SIZE as u64).unwrap_or(usize::MAX);
        let offset = (self.position % BUFFER_SIZE as u64) as usize;
        let rest = blocks.get(block).and_then(|block| block.get(offset..)).unwrap_or(&[]);
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.position += count as u64;
        Ok(count)
    }
}

/// A bucket's JSON resource
/// (<https://docs.cloud.google.com/storage/docs/json_api/v1/buckets#resource>).
pub(super) fn bucket_resource(name: &str, created: SystemTime, base_url: &str) -> Value {
    let created = format_rfc3339_millis(created).to_string();
    json!({
        "kind": "storage#bucket",
        "id": name,
        "selfLink": format!("{base_url}/storage/v1/b/{name}"),
        "name": name,
        "projectNumber": "0",
        "generation": "1",
        "metageneration": "1",
        "location": "US",
        "locationType": "multi-region",
        "storageClass": "STANDARD",
        "etag": STANDARD.encode("1"),
        "timeCreated": created,
        "updated": created,
    })
}
