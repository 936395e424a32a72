//! Objects and buckets: what is known of them, and the JSON in which Cloud Storage shows it
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

use super::checksum::{Announced, Checksums};
use super::error::ApiError;
use super::http::BUFFER;
use super::precondition::Version;

/// The longest object name, in bytes of UTF-8.
const MAX_NAME: usize = 1024;
/// What a name keeps when it becomes a segment of a URL's path.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// The fields that a client sets and that are kept as they are.
const KEPT_FIELDS: [&str; 5] =
    ["cacheControl", "contentDisposition", "contentEncoding", "contentLanguage", "customTime"];

/// What a client says of an object that it is about to make.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Description {
    pub(super) name: String,
    pub(super) content_type: String,
    /// Custom metadata, keys and values.
    pub(super) metadata: Map<String, Value>,
    /// Other fields of the resource that are shown as they were given.
    pub(super) fields: Map<String, Value>,
}

impl Description {
    /// Reads the metadata that comes with an upload. A name in the query overrides the one in the
    /// metadata; `content_type` holds where the metadata has none.
    pub(super) fn read(
        metadata: &Value,
        name_in_query: Option<&str>,
        content_type: Option<&str>,
    ) -> Result<(Self, Announced), ApiError> {
        let text = |field: &str| match metadata.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(ApiError::invalid(format!("{field} must be a string."))),
        };
        let name = name_in_query.or(text("name")?);
        let name = name.ok_or_else(|| {
            ApiError::new(400, "required", "Required parameter: name (of the object).")
        })?;
        check_name(name)?;
        let mut announced = Announced::default();
        if let Some(crc32c) = text("crc32c")? {
            announced.announce_crc32c(crc32c)?;
        }
        if let Some(md5) = text("md5Hash")? {
            announced.announce_md5(md5)?;
        }
        let mut fields = Map::new();
        for field in KEPT_FIELDS {
            if let Some(value) = text(field)? {
                fields.insert(field.to_owned(), value.into());
            }
        }
        let content_type = text("contentType")?.or(content_type);
        let description = Self {
            name: name.to_owned(),
            content_type: content_type.unwrap_or("application/octet-stream").to_owned(),
            metadata: custom_metadata(metadata)?,
            fields,
        };
        Ok((description, announced))
    }

    /// With this custom metadata besides; where a key is the same, it counts.
    pub(super) fn with_metadata(mut self, metadata: Map<String, Value>) -> Self {
        self.metadata.extend(metadata);
        self
    }
}

fn custom_metadata(metadata: &Value) -> Result<Map<String, Value>, ApiError> {
    match metadata.get("metadata") {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(custom)) if custom.values().all(Value::is_string) => Ok(custom.clone()),
        Some(_) => Err(ApiError::invalid("metadata must be an object of strings.")),
    }
}

/// <https://docs.cloud.google.com/storage/docs/objects#naming>
fn check_name(name: &str) -> Result<(), ApiError> {
    let fault = match name {
        "" => "is empty",
        "." | ".." => "is . or ..",
        _ if name.len() > MAX_NAME => "is longer than 1024 bytes",
        _ if name.contains(['\r', '\n']) => "has a line break in it",
        _ if name.starts_with(".well-known/acme-challenge/") => {
            "begins with .well-known/acme-challenge/"
        }
        _ => return Ok(()),
    };
    Err(ApiError::invalid(format!("The object's name {fault}.")))
}

/// <https://docs.cloud.google.com/storage/docs/buckets#naming>, which also makes every bucket's
/// name a plain folder's name.
pub(super) fn check_bucket_name(name: &str) -> Result<(), ApiError> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let sound = (3..=222).contains(&name.len())
        && name.bytes().all(|byte| plain(byte) || b"-_.".contains(&byte))
        && name.bytes().next().is_some_and(plain)
        && name.bytes().last().is_some_and(plain)
        && name.split('.').all(|part| (1..=63).contains(&part.len()));
    if sound {
        return Ok(());
    }
    Err(ApiError::invalid(format!(
        "Invalid bucket name: {:?}. Write 3 to 63 lower-case letters, digits, - and _, beginning \
         and ending with a letter or a digit.",
        name.chars().take(80).collect::<String>()
    )))
}

/// Where an object's bytes are.
#[derive(Debug)]
pub(super) enum Content {
    Memory(Vec<Vec<u8>>),
    File(PathBuf),
}

/// An object that exists.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) bucket: String,
    pub(super) description: Description,
    pub(super) version: Version,
    pub(super) size: u64,
    pub(super) checksums: Checksums,
    pub(super) created: SystemTime,
    pub(super) content: Content,
}

impl Object {
    pub(super) fn name(&self) -> &str {
        &self.description.name
    }

    pub(super) fn etag(&self) -> String {
        let Version { generation, metageneration } = self.version;
        STANDARD.encode(format!("{generation}/{metageneration}"))
    }

    /// The header `x-goog-hash` of a download.
    pub(super) fn hash_header(&self) -> String {
        format!("crc32c={},md5={}", self.checksums.crc32c_text(), self.checksums.md5_text())
    }

    /// The object resource, with links that begin with `base_url`.
    pub(super) fn resource(&self, base_url: &str) -> Value {
        let Version { generation, metageneration } = self.version;
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
            "contentType": self.description.content_type,
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
        for (field, value) in &self.description.fields {
            resource[field] = value.clone();
        }
        if !self.description.metadata.is_empty() {
            resource["metadata"] = Value::Object(self.description.metadata.clone());
        }
        resource
    }

    /// Reads `length` bytes from `start` on.
    pub(super) fn read(
        self: &Arc<Self>,
        start: u64,
        length: u64,
    ) -> io::Result<Box<dyn Read + Send>> {
        match &self.content {
            Content::Memory(_) => {
                let object = Arc::clone(self);
                Ok(Box::new(Blocks { object, position: start }.take(length)))
            }
            Content::File(path) => {
                let mut file = File::open(path)?;
                file.seek(SeekFrom::Start(start))?;
                Ok(Box::new(io::BufReader::with_capacity(BUFFER, file.take(length))))
            }
        }
    }
}

/// Reads an object that lies in memory.
struct Blocks {
    object: Arc<Object>,
    position: u64,
}

impl Read for Blocks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Content::Memory(blocks) = &self.object.content else { return Ok(0) };
        // Every block but the last is a full buffer.
        let block = usize::try_from(self.position / BUFFER as u64).unwrap_or(usize::MAX);
        let offset = (self.position % BUFFER as u64) as usize;
        let rest = blocks.get(block).and_then(|block| block.get(offset..)).unwrap_or(&[]);
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.position += count as u64;
        Ok(count)
    }
}

/// The bucket resource
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
