//! Object resources: the request for a new object, and the metadata of a stored one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::content::Crc32c;

use super::endpoint::object_url;

/// An object to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewObject {
    /// Full name, including the prefix.
    pub name: String,
    /// Media type.
    pub content_type: String,
    /// Custom metadata, by key.
    pub metadata: BTreeMap<String, String>,
}

/// A stored object: the part of its metadata that this project uses
/// (<https://docs.cloud.google.com/storage/docs/json_api/v1/objects#resource>).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Object {
    /// Name of the bucket.
    pub bucket: String,
    /// Full name.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// Checksum of the content.
    pub crc32c: Crc32c,
    /// Generation number. A string, as it can exceed the range of a JSON number.
    pub generation: String,
    /// Media type.
    pub content_type: String,
}

impl Object {
    /// Returns the URI that tools use: `gs://bucket/name`.
    pub fn gs_uri(&self) -> String {
        format!("gs://{}/{}", self.bucket, self.name)
    }

    /// Returns its URL in the JSON API at `endpoint`, which Cloud Storage calls its `selfLink`.
    pub fn self_link(&self, endpoint: &str) -> String {
        object_url(endpoint.trim_end_matches('/'), &self.bucket, &self.name)
    }
}

/// The JSON resource. Numbers that are too large for JSON are strings.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Resource {
    bucket: String,
    name: String,
    // Some emulators omit it for an empty object.
    size: Option<String>,
    crc32c: Crc32c,
    generation: String,
    #[serde(default)]
    content_type: String,
}

impl Object {
    /// Parses an object resource.
    ///
    /// # Errors
    /// The field that is missing or invalid. The text quotes nothing of a body that is not JSON.
    pub(super) fn from_json(json: &[u8]) -> Result<Self, String> {
        let resource: Resource = serde_json::from_slice(json).map_err(|e| e.to_string())?;
        let size = resource.size.as_deref().unwrap_or("0");
        Ok(Self {
            size: size.parse().map_err(|_| format!("the size is {size:?}"))?,
            bucket: resource.bucket,
            name: resource.name,
            crc32c: resource.crc32c,
            generation: resource.generation,
            content_type: resource.content_type,
        })
    }
}

impl NewObject {
    /// Body of the request that opens a session. If it contains a checksum, Cloud Storage rejects
    /// content that does not match.
    pub(super) fn to_json(&self, crc32c: Option<Crc32c>) -> String {
        let Self { name, content_type, metadata } = self;
        let resource = NewResource { name, content_type, metadata, crc32c };
        serde_json::to_string(&resource).expect("strings have a JSON form")
    }
}

/// The JSON resource of an object to create.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NewResource<'a> {
    name: &'a str,
    content_type: &'a str,
    metadata: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    crc32c: Option<Crc32c>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn resource() -> serde_json::Value {
        json!({
            "kind": "storage#object", "bucket": "b", "name": "n", "size": "9",
            "crc32c": "4waSgw==", "generation": "1767225600000000", "contentType": "text/plain",
        })
    }

    fn read(resource: &serde_json::Value) -> Result<Object, String> {
        Object::from_json(resource.to_string().as_bytes())
    }

    #[test]
    fn resource_is_parsed() {
        let object = read(&resource()).unwrap();
        assert_eq!(object.size, 9);
        assert_eq!(object.crc32c, Crc32c::of(b"123456789"));
        assert_eq!(object.gs_uri(), "gs://b/n");
    }

    #[test]
    fn self_link_encodes_the_name_and_accepts_a_trailing_slash() {
        let mut resource = resource();
        resource["name"] = "a/b c".into();
        let object = read(&resource).unwrap();
        for endpoint in ["http://h:1", "http://h:1/"] {
            assert_eq!(object.self_link(endpoint), "http://h:1/storage/v1/b/b/o/a%2Fb%20c");
        }
    }

    #[test]
    fn resource_without_size_is_empty() {
        let mut resource = resource();
        resource.as_object_mut().unwrap().remove("size");
        assert_eq!(read(&resource).unwrap().size, 0);
    }

    #[test]
    fn resource_without_identity_or_checksum_is_rejected() {
        for field in ["bucket", "name", "crc32c", "generation"] {
            let mut resource = resource();
            resource.as_object_mut().unwrap().remove(field);
            assert!(read(&resource).unwrap_err().contains(field), "{field}");
        }
        for (field, value) in [("size", "-1"), ("size", "x"), ("crc32c", "x")] {
            let mut resource = resource();
            resource[field] = value.into();
            assert!(read(&resource).is_err(), "{field}");
        }
    }

    #[test]
    fn truncated_resource_is_rejected() {
        let text = resource().to_string();
        for end in 0..text.len() {
            assert!(Object::from_json(&text.as_bytes()[..end]).is_err());
        }
    }

    #[test]
    fn known_checksum_is_part_of_the_new_resource() {
        let object = NewObject {
            name: "n".into(),
            content_type: "text/plain".into(),
            metadata: [("seed".to_owned(), "7".to_owned())].into(),
        };
        let json = |crc32c: Option<Crc32c>| -> serde_json::Value {
            serde_json::from_str(&object.to_json(crc32c)).unwrap()
        };
        let mut resource =
            json!({"name": "n", "contentType": "text/plain", "metadata": {"seed": "7"}});
        assert_eq!(json(None), resource);
        resource["crc32c"] = "4waSgw==".into();
        assert_eq!(json(Some(Crc32c::of(b"123456789"))), resource);
    }
}
