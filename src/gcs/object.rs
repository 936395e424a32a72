//! Objects: what is asked for, and what Cloud Storage says that it has.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::content::Crc32c;

/// An object that is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewObject {
    /// Its whole name, prefix included.
    pub name: String,
    /// Its media type.
    pub content_type: String,
    /// Custom metadata: shown with the object, by its keys.
    pub metadata: BTreeMap<String, String>,
}

/// An object that exists: the part of its metadata that this project uses
/// (<https://docs.cloud.google.com/storage/docs/json_api/v1/objects#resource>).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Object {
    /// The bucket that it lies in.
    pub bucket: String,
    /// Its whole name.
    pub name: String,
    /// Its length in bytes.
    pub size: u64,
    /// The checksum of its content.
    pub crc32c: Crc32c,
    /// Which of the objects that ever had this name it is. Too large for a JSON number.
    pub generation: String,
    /// Its media type.
    pub content_type: String,
}

impl Object {
    /// The form that people and tools pass around: `gs://bucket/name`.
    pub fn gs_uri(&self) -> String {
        format!("gs://{}/{}", self.bucket, self.name)
    }
}
