//! Object names: random ones, which cannot collide, and names that clients choose.
//!
//! The limits are Cloud Storage's: <https://docs.cloud.google.com/storage/docs/objects#naming>.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;
use uuid::Uuid;

/// Cloud Storage's limit for object names, in bytes of UTF-8.
const MAX_NAME: usize = 1024;
/// The prefix that Cloud Storage reserves.
const RESERVED_PREFIX: &str = ".well-known/acme-challenge/";
/// The length of the UUID that [`ObjectPrefix::random_name`] appends.
const UUID_LENGTH: usize = uuid::fmt::Hyphenated::LENGTH;

/// The prefix of every object's name. May be empty; usually ends with a slash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectPrefix(String);

/// Error for a text that is not a valid [`ObjectPrefix`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ObjectPrefixError {
    /// Too long for names below it.
    #[error("is {0} bytes long: use at most {max}", max = MAX_NAME - UUID_LENGTH)]
    TooLong(usize),
    /// A character that makes objects hard to address or to list.
    #[error("contains the character {0:?}: use printable characters except # [ ] * ?")]
    BadCharacter(char),
    /// A segment that tools interpret as another folder, or as none.
    #[error(
        "has an empty, '.' or '..' segment: use a form like reports/2026/, without a leading slash"
    )]
    BadSegment,
}

/// Error for a client's text that is not a valid object name. The message continues "the name".
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ClientNameError {
    /// An empty text.
    #[error("is empty")]
    Empty,
    /// Longer than Cloud Storage's limit, together with the prefix.
    #[error("is {bytes} bytes long in UTF-8; the maximum is {max}")]
    TooLong {
        /// The length of the text.
        bytes: usize,
        /// The limit without the prefix.
        max: usize,
    },
    /// A control character, such as a line break, a tab or an escape.
    #[error("contains the control character {0:?}")]
    ControlCharacter(char),
    /// A leading, a trailing or a double slash.
    #[error("has an empty segment: it must not begin or end with a slash, or contain two in a row")]
    EmptySegment,
    /// A segment that file systems and browsers interpret as a folder.
    #[error("contains the segment {0:?}: remove it")]
    DotSegment(String),
    /// The prefix of ACME challenges, which certificate authorities look for.
    #[error("begins with {RESERVED_PREFIX}, which Cloud Storage reserves")]
    Reserved,
}

impl ObjectPrefix {
    /// Returns the object name for a name that a client has chosen.
    ///
    /// # Errors
    /// `name` is invalid. It is never corrected: an object has exactly the requested name.
    pub fn client_name(&self, name: &str) -> Result<String, ClientNameError> {
        self.check(name, MAX_NAME.saturating_sub(self.0.len()))?;
        Ok(format!("{}{name}", self.0))
    }

    /// Like [`client_name`](Self::client_name), with a UUID before the extension of the last segment,
    /// so that the name is unique: `report.pdf` becomes `report-0198….pdf`.
    ///
    /// # Errors
    /// `name` is invalid.
    pub fn unique_client_name(&self, name: &str) -> Result<String, ClientNameError> {
        self.check(name, MAX_NAME.saturating_sub(self.0.len() + "-".len() + UUID_LENGTH))?;
        let segment = name.rfind('/').map_or(0, |slash| slash + 1);
        // A dot at the beginning of a segment marks a hidden file, not an extension.
        let stem = name[segment..].rfind('.').filter(|&dot| dot > 0);
        let (stem, extension) = name.split_at(stem.map_or(name.len(), |dot| segment + dot));
        Ok(format!("{}{stem}-{}{extension}", self.0, Uuid::now_v7()))
    }

    fn check(&self, name: &str, max: usize) -> Result<(), ClientNameError> {
        if name.is_empty() {
            return Err(ClientNameError::Empty);
        }
        if name.len() > max {
            return Err(ClientNameError::TooLong { bytes: name.len(), max });
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
        if format!("{}{name}", self.0).starts_with(RESERVED_PREFIX) {
            return Err(ClientNameError::Reserved);
        }
        Ok(())
    }

    /// Returns a unique name: a UUID version 7 (RFC 9562), so that a listing has names in the order of
    /// their creation.
    pub fn random_name(&self) -> String {
        format!("{}{}", self.0, Uuid::now_v7())
    }

    /// Returns the name that is derived from these bytes: a UUID version 8 (RFC 9562), which keeps 122
    /// of their 128 bits.
    pub fn derived_name(&self, bytes: [u8; 16]) -> String {
        format!("{}{}", self.0, uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }

    /// Returns the prefix as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ObjectPrefix {
    type Err = ObjectPrefixError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > MAX_NAME - UUID_LENGTH {
            return Err(ObjectPrefixError::TooLong(text.len()));
        }
        if let Some(c) = text.chars().find(|&c| c.is_control() || "#[]*?".contains(c)) {
            return Err(ObjectPrefixError::BadCharacter(c));
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
        fn any_client_name_is_legal_or_rejected(
            name in "[./a\\PC\\n\\\\]{0,12}(\\PC{0,400}|[./]{0,4})",
            prefix in prop::sample::select(vec!["", "p/", "a-", ".well-known/"]),
        ) {
            let prefix: ObjectPrefix = prefix.parse().unwrap();
            if let Ok(whole) = prefix.client_name(&name) {
                prop_assert_eq!(&whole, &format!("{prefix}{name}"));
                prop_assert!(whole.len() <= MAX_NAME && !whole.starts_with(RESERVED_PREFIX));
                prop_assert!(!whole.chars().any(char::is_control));
                prop_assert!(whole.split('/').all(|part| !matches!(part, "" | "." | "..")));
            }
            if let Ok(unique) = prefix.unique_client_name(&name) {
                prop_assert!(unique.len() <= MAX_NAME && prefix.client_name(&name).is_ok());
            }
        }
    }

    #[test]
    fn random_names_begin_with_the_prefix_and_differ() {
        let prefix: ObjectPrefix = "reports/2026/".parse().unwrap();
        let names: std::collections::HashSet<_> = (0..1000).map(|_| prefix.random_name()).collect();
        assert_eq!(names.len(), 1000);
        assert!(names.iter().all(|name| name.starts_with("reports/2026/")));
    }

    #[test]
    fn random_names_sort_in_the_order_of_their_creation() {
        let prefix = ObjectPrefix::default();
        let names: Vec<_> = (0..1000).map(|_| prefix.random_name()).collect();
        assert!(names.is_sorted());
    }

    #[test]
    fn derived_name_depends_on_its_bytes() {
        let prefix: ObjectPrefix = "p/".parse().unwrap();
        assert_eq!(prefix.derived_name([0xff; 16]), "p/ffffffff-ffff-8fff-bfff-ffffffffffff");
        assert_eq!(prefix.derived_name([0; 16]), "p/00000000-0000-8000-8000-000000000000");
    }

    #[test]
    fn longest_prefix_allows_a_legal_name() {
        let prefix: ObjectPrefix = "p".repeat(MAX_NAME - UUID_LENGTH).parse().unwrap();
        assert_eq!(prefix.random_name().len(), MAX_NAME);
    }

    #[test]
    fn prefix_may_be_a_folder_or_any_beginning() {
        for text in ["", "a", "a/", "a/b", "a/b/", "tenant-7-", "ä/ö/", ".well-known/"] {
            assert_eq!(text.parse::<ObjectPrefix>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn client_name_may_be_any_path() {
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
    fn client_name_that_is_not_a_path_is_rejected_with_the_reason() {
        let rejected = |name: &str, reason: &str| {
            for prefix in ["", "p/"] {
                let prefix: ObjectPrefix = prefix.parse().unwrap();
                let error = prefix.client_name(name).expect_err(name);
                assert_eq!(prefix.unique_client_name(name), Err(error.clone()));
                assert!(error.to_string().contains(reason), "{name:?}: {error}");
            }
        };
        rejected("", "is empty");
        for name in ["/", "/a", "a/", "a//b", "//a"] {
            rejected(name, "must not begin or end with a slash");
        }
        for name in [".", "..", "../a", "a/../b", "a/.", "./a", "a/.."] {
            rejected(name, "segment \".");
        }
        for name in ["a\n", "\r", "a\0b", "\t", "\u{1b}[31m", "a\u{7f}", "a\u{85}b"] {
            rejected(name, "control character");
        }
    }

    #[test]
    fn client_name_and_prefix_share_the_length_limit() {
        let prefix: ObjectPrefix = "p/".parse().unwrap();
        let longest = "\u{fc}".repeat(511);
        assert_eq!(prefix.client_name(&longest).unwrap().len(), MAX_NAME);
        let error = prefix.client_name(&format!("{longest}x")).unwrap_err();
        assert_eq!(error, ClientNameError::TooLong { bytes: 1023, max: 1022 });
        assert_eq!(prefix.unique_client_name(&"x".repeat(985)).unwrap().len(), MAX_NAME);
        let error = prefix.unique_client_name(&"x".repeat(986)).unwrap_err();
        assert_eq!(error, ClientNameError::TooLong { bytes: 986, max: 985 });
    }

    #[test]
    fn reserved_name_is_rejected_with_any_prefix() {
        for (prefix, name) in
            [("", ".well-known/acme-challenge/x"), (".well-known/", "acme-challenge/x")]
        {
            let prefix: ObjectPrefix = prefix.parse().unwrap();
            assert_eq!(prefix.client_name(name), Err(ClientNameError::Reserved));
            assert_eq!(prefix.unique_client_name(name), Err(ClientNameError::Reserved));
        }
    }

    #[test]
    fn unique_name_keeps_its_extension() {
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
    fn prefix_that_makes_objects_hard_to_address_is_rejected() {
        for text in [
            "/", "/a", "a//b", "a//", "..", "../a/", "a/./", "a/..", "\n", "a\u{7f}/", "a#", "a?b",
            "[a]",
        ] {
            assert!(text.parse::<ObjectPrefix>().is_err(), "{text:?}");
        }
        assert_eq!("p".repeat(1024).parse::<ObjectPrefix>(), Err(ObjectPrefixError::TooLong(1024)),);
    }
}
