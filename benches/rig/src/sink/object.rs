//! What is known of an object: from its start's metadata to its session's URI, and from there to the
//! resource that the client is shown.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::json;
use url::form_urlencoded;

/// An object as its metadata and its URL announce it.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Announced {
    pub(crate) name: String,
    pub(crate) content_type: String,
    /// As Cloud Storage writes it; empty if it was not announced.
    pub(crate) crc32c: String,
    #[serde(skip)]
    pub(crate) bucket: String,
}

impl Announced {
    /// From the metadata and the target of a request that begins an upload.
    pub(crate) fn of(metadata: &[u8], target: &str) -> serde_json::Result<Self> {
        let mut announced: Self = match metadata {
            [] => Self::default(),
            metadata => serde_json::from_slice(metadata)?,
        };
        announced.bucket = bucket(target).to_owned();
        if let Some(name) = parameter(target, "name") {
            announced.name = name;
        }
        Ok(announced)
    }

    /// From the target of a request to a session.
    pub(crate) fn in_session(target: &str) -> Option<Self> {
        parameter(target, "upload_id")?;
        let of = |name| parameter(target, name).unwrap_or_default();
        Some(Self {
            bucket: bucket(target).to_owned(),
            name: of("name"),
            content_type: of("type"),
            crc32c: of("crc32c"),
        })
    }

    /// The target of its session, which holds all that the last answer needs.
    pub(crate) fn session(&self) -> String {
        let encode = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
        format!(
            "/upload/storage/v1/b/{}/o?uploadType=resumable&name={}&type={}&crc32c={}&upload_id=1",
            self.bucket,
            encode(&self.name),
            encode(&self.content_type),
            encode(&self.crc32c),
        )
    }

    /// The resource, once it has these bytes.
    pub(crate) fn resource(&self, size: u64, crc32c: &str) -> String {
        json!({
            "kind": "storage#object",
            "id": format!("{}/{}/1", self.bucket, self.name),
            "bucket": self.bucket,
            "name": self.name,
            "contentType": self.content_type,
            "size": size.to_string(),
            "crc32c": crc32c,
            "generation": "1767225600000000",
            "metageneration": "1",
            "storageClass": "STANDARD",
            "timeCreated": "2026-01-01T00:00:00.000Z",
            "updated": "2026-01-01T00:00:00.000Z",
        })
        .to_string()
    }
}

fn bucket(target: &str) -> &str {
    let path = target.split('?').next().unwrap_or_default();
    path.strip_prefix("/upload/storage/v1/b/").and_then(|rest| rest.split('/').next()).unwrap_or("")
}

pub(crate) fn parameter(target: &str, name: &str) -> Option<String> {
    let (_, query) = target.split_once('?')?;
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}
