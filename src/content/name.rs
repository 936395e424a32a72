//! The names of objects: drawn ones, which cannot collide, and those that clients choose.
//!
//! The limits are Cloud Storage's: <https://docs.cloud.google.com/storage/docs/objects#naming>.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;
use uuid::Uuid;

/// The longest object name that Cloud Storage takes, in bytes of UTF-8.
const MAX_NAME: usize = 1024;
/// What no object's name may begin with.
const RESERVED: &str = ".well-known/acme-challenge/";
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

/// Why a client's text cannot be an object's name. Reads on from "the name".
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ClientNameError {
    /// No text at all.
    #[error("is empty")]
    Empty,
    /// Longer than Cloud Storage takes.
    #[error("is {bytes} bytes long in UTF-8: at most {most} are left for it here")]
    TooLong {
        /// How long it is.
        bytes: usize,
        /// What the prefix leaves.
        most: usize,
    },
    /// A control character: a line break, a tabulator, an escape sequence.
    #[error("has the control character {0:?} in it")]
    ControlCharacter(char),
    /// A leading, a trailing or a double slash.
    #[error(
        "has an empty segment: it may neither begin nor end with a slash, nor have two in a row"
    )]
    EmptySegment,
    /// What file systems and browsers take for a folder, and not for a name.
    #[error("has the segment {0:?} in it: write the name without it")]
    DotSegment(String),
    /// What certificate authorities look for.
    #[error("begins with {RESERVED}, which Cloud Storage refuses")]
    Reserved,
}

impl ObjectPrefix {
    /// The name under this prefix that a client has chosen.
    ///
    /// # Errors
    /// What is wrong with `name`. It is never mended: an object has the name that was asked for.
    pub fn client_name(&self, name: &str) -> Result<String, ClientNameError> {
        self.check(name, MAX_NAME.saturating_sub(self.0.len()))?;
        Ok(format!("{}{name}", self.0))
    }

    /// As [`client_name`](Self::client_name), with a UUID before the last segment's extension, so
    /// that nobody else has the name: `report.pdf` becomes `report-0198….pdf`.
    ///
    /// # Errors
    /// What is wrong with `name`.
    pub fn unique_client_name(&self, name: &str) -> Result<String, ClientNameError> {
        self.check(name, MAX_NAME.saturating_sub(self.0.len() + "-".len() + SUFFIX))?;
        let segment = name.rfind('/').map_or(0, |slash| slash + 1);
        // A dot at a segment's beginning hides a file and begins no extension.
        let stem = name[segment..].rfind('.').filter(|&dot| dot > 0);
        let (stem, extension) = name.split_at(stem.map_or(name.len(), |dot| segment + dot));
        Ok(format!("{}{stem}-{}{extension}", self.0, Uuid::now_v7()))
    }

    fn check(&self, name: &str, most: usize) -> Result<(), ClientNameError> {
        if name.is_empty() {
            return Err(ClientNameError::Empty);
        }
        if name.len() > most {
            return Err(ClientNameError::TooLong { bytes: name.len(), most });
        }
        if let Some(control) = name.chars().find(|c| c.is_control()) {
            return Err(ClientNameError::ControlCharacter(control));
        }
        for segment in name.split('/') {
            match segment {
                "" => return Err(ClientNameError::EmptySegment),
                "." | ".." => return Err(ClientNameError::DotSegment(segment.to_owned())),
                _ => {}
            }
        }
        match format!("{}{name}", self.0).starts_with(RESERVED) {
            true => Err(ClientNameError::Reserved),
            false => Ok(()),
        }
    }

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
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn whatever_a_client_writes_is_a_legal_name_or_refused(
            name in "[./a\\PC\\n\\\\]{0,12}(\\PC{0,400}|[./]{0,4})",
            prefix in prop::sample::select(vec!["", "p/", "a-", ".well-known/"]),
        ) {
            let prefix: ObjectPrefix = prefix.parse().unwrap();
            if let Ok(whole) = prefix.client_name(&name) {
                prop_assert_eq!(&whole, &format!("{prefix}{name}"));
                prop_assert!(whole.len() <= MAX_NAME && !whole.starts_with(RESERVED));
                prop_assert!(!whole.chars().any(char::is_control));
                prop_assert!(whole.split('/').all(|part| !matches!(part, "" | "." | "..")));
            }
            if let Ok(unique) = prefix.unique_client_name(&name) {
                prop_assert!(unique.len() <= MAX_NAME && prefix.client_name(&name).is_ok());
            }
        }
    }

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
    fn a_client_chooses_any_name_that_is_a_path() {
        let prefix: ObjectPrefix = "in box/".parse().unwrap();
        for name in [
            "a",
            "a.txt",
            "a/b/c.tar.gz",
            ".profile",
            "...",
            "a..b",
            "r\u{e9}sum\u{e9} [1] #2?.pdf",
            "C:\\fakepath\\x",
            " ",
            "%2e%2e",
            ".well-known/security.txt",
            ".well-known/acme-challenge/token",
        ] {
            assert_eq!(prefix.client_name(name), Ok(format!("in box/{name}")));
        }
    }

    #[test]
    fn a_clients_name_that_is_no_path_is_refused_and_told_why() {
        let refused = |name: &str, why: &str| {
            for prefix in ["", "p/"] {
                let prefix: ObjectPrefix = prefix.parse().unwrap();
                let error = prefix.client_name(name).expect_err(name);
                assert_eq!(prefix.unique_client_name(name), Err(error.clone()));
                assert!(error.to_string().contains(why), "{name:?}: {error}");
            }
        };
        refused("", "is empty");
        for name in ["/", "/a", "a/", "a//b", "//a"] {
            refused(name, "neither begin nor end with a slash");
        }
        for name in [".", "..", "../a", "a/../b", "a/.", "./a", "a/.."] {
            refused(name, "segment \".");
        }
        for name in ["a\n", "\r", "a\0b", "\t", "\u{1b}[31m", "a\u{7f}", "a\u{85}b"] {
            refused(name, "control character");
        }
    }

    #[test]
    fn a_clients_name_has_the_room_that_the_prefix_leaves() {
        let prefix: ObjectPrefix = "p/".parse().unwrap();
        let longest = "\u{fc}".repeat(511);
        assert_eq!(prefix.client_name(&longest).unwrap().len(), MAX_NAME);
        let error = prefix.client_name(&format!("{longest}x")).unwrap_err();
        assert_eq!(error, ClientNameError::TooLong { bytes: 1023, most: 1022 });
        assert_eq!(prefix.unique_client_name(&"x".repeat(985)).unwrap().len(), MAX_NAME);
        let error = prefix.unique_client_name(&"x".repeat(986)).unwrap_err();
        assert_eq!(error, ClientNameError::TooLong { bytes: 986, most: 985 });
    }

    #[test]
    fn a_name_that_cloud_storage_keeps_for_itself_is_refused_with_its_prefix() {
        for (prefix, name) in
            [("", ".well-known/acme-challenge/x"), (".well-known/", "acme-challenge/x")]
        {
            let prefix: ObjectPrefix = prefix.parse().unwrap();
            assert_eq!(prefix.client_name(name), Err(ClientNameError::Reserved));
            assert_eq!(prefix.unique_client_name(name), Err(ClientNameError::Reserved));
        }
    }

    #[test]
    fn a_unique_name_keeps_its_extension() {
        let prefix: ObjectPrefix = "p/".parse().unwrap();
        for (name, begins, ends) in [
            ("report.pdf", "p/report-", ".pdf"),
            ("a.b/report", "p/a.b/report-", ""),
            ("a.b/c.tar.gz", "p/a.b/c.tar-", ".gz"),
            (".profile", "p/.profile-", ""),
        ] {
            let unique = prefix.unique_client_name(name).unwrap();
            let uuid = unique.strip_prefix(begins).unwrap().strip_suffix(ends).unwrap();
            assert!(uuid.parse::<Uuid>().is_ok(), "{unique}");
            assert_ne!(prefix.unique_client_name(name).unwrap(), unique);
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
