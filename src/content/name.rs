//! Object names that cannot collide.
//!
//! The limits are Cloud Storage's: <https://docs.cloud.google.com/storage/docs/objects#naming>.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;
use uuid::Uuid;

/// The longest object name that Cloud Storage takes, in bytes of UTF-8.
const MAX_NAME: usize = 1024;
/// What [`ObjectPrefix::random_name`] appends: a UUID in its usual form.
const SUFFIX: usize = uuid::fmt::Hyphenated::LENGTH;

/// What every object's name begins with; may be empty. Usually ends with a slash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectPrefix(String);

/// Why a text cannot be an [`ObjectPrefix`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ObjectPrefixError {
    /// Longer than leaves room for the rest of the name.
    #[error("is {0} bytes long: write at most {max}", max = MAX_NAME - SUFFIX)]
    TooLong(usize),
    /// A character that makes an object hard to reach or to list.
    #[error("has the character {0:?} in it: write printable characters, and none of # [ ] * ?")]
    BadCharacter(char),
    /// A segment that tools take for a folder of their own, or for none.
    #[error(
        "has an empty, '.' or '..' segment: write it like reports/2026/, without a leading slash"
    )]
    BadSegment,
}

impl ObjectPrefix {
    /// A name under this prefix that nobody else ever draws: a UUID version 7 (RFC 9562), so that
    /// names list in the order in which they were made.
    pub fn random_name(&self) -> String {
        format!("{}{}", self.0, Uuid::now_v7())
    }

    /// The name under this prefix that belongs to these bytes, and to no others: a UUID version 8
    /// (RFC 9562), which keeps 122 of their 128 bits.
    pub fn derived_name(&self, bytes: [u8; 16]) -> String {
        format!("{}{}", self.0, uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }

    /// The prefix as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ObjectPrefix {
    type Err = ObjectPrefixError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > MAX_NAME - SUFFIX {
            return Err(ObjectPrefixError::TooLong(text.len()));
        }
        if let Some(bad) = text.chars().find(|&c| c.is_control() || "#[]*?".contains(c)) {
            return Err(ObjectPrefixError::BadCharacter(bad));
        }
        let folders = text.strip_suffix('/').unwrap_or(text);
        let bad_segment = |segment: &str| matches!(segment, "" | "." | "..");
        if !text.is_empty() && folders.split('/').any(bad_segment) {
            return Err(ObjectPrefixError::BadSegment);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for ObjectPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_begin_with_the_prefix_and_differ() {
        let prefix: ObjectPrefix = "reports/2026/".parse().unwrap();
        let names: std::collections::HashSet<_> = (0..1000).map(|_| prefix.random_name()).collect();
        assert_eq!(names.len(), 1000);
        assert!(names.iter().all(|name| name.starts_with("reports/2026/")));
    }

    #[test]
    fn names_list_in_the_order_in_which_they_were_made() {
        let prefix = ObjectPrefix::default();
        let names: Vec<_> = (0..1000).map(|_| prefix.random_name()).collect();
        assert!(names.is_sorted());
    }

    #[test]
    fn a_derived_name_belongs_to_its_bytes() {
        let prefix: ObjectPrefix = "p/".parse().unwrap();
        assert_eq!(prefix.derived_name([0xff; 16]), "p/ffffffff-ffff-8fff-bfff-ffffffffffff");
        assert_eq!(prefix.derived_name([0; 16]), "p/00000000-0000-8000-8000-000000000000");
    }

    #[test]
    fn the_longest_prefix_leaves_a_legal_name() {
        let prefix: ObjectPrefix = "p".repeat(MAX_NAME - SUFFIX).parse().unwrap();
        assert_eq!(prefix.random_name().len(), MAX_NAME);
    }

    #[test]
    fn takes_folders_and_plain_beginnings() {
        for text in ["", "a", "a/", "a/b", "a/b/", "tenant-7-", "ä/ö/", ".well-known/"] {
            assert_eq!(text.parse::<ObjectPrefix>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn refuses_what_makes_objects_hard_to_reach() {
        for text in [
            "/", "/a", "a//b", "a//", "..", "../a/", "a/./", "a/..", "\n", "a\u{7f}/", "a#", "a?b",
            "[a]",
        ] {
            assert!(text.parse::<ObjectPrefix>().is_err(), "{text:?}");
        }
        assert_eq!("p".repeat(1024).parse::<ObjectPrefix>(), Err(ObjectPrefixError::TooLong(1024)),);
    }
}
