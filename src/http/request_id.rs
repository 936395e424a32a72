//! Request id, which identifies a request in its response, in the log and in the object's metadata.

use std::fmt;

use uuid::Uuid;

use crate::redact::without_tokens;

const MAX_LENGTH: usize = 64;

/// Request id of 1 to 64 characters of `A-Z a-z 0-9 . _ -`: safe in a header, a log line and a metadata value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestId(String);

impl RequestId {
    /// Returns a new id, a UUID of version 7.
    pub(crate) fn random() -> Self {
        Self(Uuid::now_v7().to_string())
    }

    /// Returns the id that the client sent if it is valid, else a new one.
    pub(crate) fn from_header_or_new(sent: Option<&str>) -> Self {
        match sent.filter(|text| is_valid(text)) {
            Some(text) => Self(text.to_owned()),
            None => Self::random(),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_valid(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    (1..=MAX_LENGTH).contains(&text.len())
        && text.bytes().all(allowed)
        && without_tokens(text) == text
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_request_id_is_kept() {
        for text in ["a", "Order-7.3_b", &"x".repeat(64)] {
            assert_eq!(RequestId::from_header_or_new(Some(text)).as_str(), text);
        }
    }

    #[test]
    fn invalid_request_id_is_replaced_by_a_uuid_of_version_7() {
        for sent in [
            None,
            Some(""),
            Some("a b"),
            Some("a\"b"),
            Some("ä"),
            Some("gcsu_x"),
            Some(&*"x".repeat(65)),
        ] {
            let id = RequestId::from_header_or_new(sent);
            assert_eq!(Uuid::parse_str(id.as_str()).unwrap().get_version_num(), 7, "{sent:?}");
        }
    }
}
