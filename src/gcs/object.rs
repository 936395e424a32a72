//! Objects: what is asked for, and what Cloud Storage says that it has.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

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

/// The resource as Cloud Storage writes it: numbers too large for JSON are strings.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Resource {
    bucket: String,
    name: String,
    // Stand-ins leave it out for an object of no bytes.
    size: Option<String>,
    crc32c: Crc32c,
    generation: String,
    #[serde(default)]
    content_type: String,
}

impl Object {
    /// Reads an object resource.
    ///
    /// # Errors
    /// Describes what is missing or invalid. The text quotes nothing of a resource that is not
    /// JSON.
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
    /// The body of the request that starts the upload: with the checksum in it, Cloud Storage
    /// refuses to finish an object of other bytes.
    pub(super) fn to_json(&self, crc32c: Option<Crc32c>) -> String {
        let Self { name, content_type, metadata } = self;
        let resource = NewResource { name, content_type, metadata, crc32c };
        serde_json::to_string(&resource).expect("strings have a JSON form")
    }
}

/// An object resource that is to be.
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
    fn reads_a_resource() {
        let object = read(&resource()).unwrap();
        assert_eq!(object.size, 9);
        assert_eq!(object.crc32c, Crc32c::of(b"123456789"));
        assert_eq!(object.gs_uri(), "gs://b/n");
    }

    #[test]
    fn a_resource_without_size_has_none() {
        let mut resource = resource();
        resource.as_object_mut().unwrap().remove("size");
        assert_eq!(read(&resource).unwrap().size, 0);
    }

    #[test]
    fn a_resource_that_does_not_vouch_for_its_bytes_is_refused() {
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
    fn a_resource_cut_short_is_refused() {
        let text = resource().to_string();
        for end in 0..text.len() {
            assert!(Object::from_json(&text.as_bytes()[..end]).is_err());
        }
    }

    #[test]
    fn a_checksum_that_is_known_goes_to_cloud_storage_before_the_bytes() {
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
