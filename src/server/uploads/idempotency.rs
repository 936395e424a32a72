//! `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header-07): a client that lost the
//! response to an upload repeats it with the same key, and gets the same object.
//!
//! The server stores no keys. The object's name and content derive from the key, and Cloud Storage
//! does not overwrite an existing object (`ifGenerationMatch=0`): so the bucket is the memory, for
//! every replica, after every restart, and as long as the object exists.
//!
//! # Derivation of the name
//!
//! This must never change: another derivation would store an object twice.
//!
//! SHA-256 over, one after the other, each preceded by its length in bytes as eight bytes, big
//! endian: the text `gcs-uploader idempotency 1`, the name of the principal (nothing where
//! tokens are not required), the prefix of the objects' names, and the key. The first 16 bytes
//! of the hash, as a UUID version 8 (RFC 9562, section 5.8), follow the prefix in the name; the
//! last 16 are the seed of the content, big endian.

use sha2::{Digest as _, Sha256};

use crate::content::{ObjectPrefix, Seed};
use crate::server::auth::Principal;
use crate::server::problem::{self, Problem};

/// Characters of a key.
const MAX_LENGTH: usize = 255;

/// Characters of the unquoted form, besides letters and digits: those that RFC 8941 allows in a
/// token, in any position, so that a UUID needs no quotes.
const UNQUOTED: &[u8] = b"!#$%&'*+-.^_`|~:/";

/// Idempotency key without its quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IdempotencyKey(String);

/// Name and seed of the object, equal for all uploads with the same key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) name: String,
    pub(crate) seed: Seed,
}

impl IdempotencyKey {
    /// Reads the key from the values of all `Idempotency-Key` headers of a request.
    pub(crate) fn from_headers(values: &[&str]) -> Result<Option<Self>, Problem> {
        match values {
            [] => Ok(None),
            [one] => match Self::parse(one) {
                Some(key) => Ok(Some(key)),
                None => Err(invalid_key(
                    "Idempotency-Key must be 1 to 255 printable ASCII characters in double quotes; \
                     without quotes, letters, digits and !#$%&'*+-.^_`|~:/ will do.",
                )),
            },
            _ => Err(invalid_key("Idempotency-Key was sent more than once: send exactly one.")),
        }
    }

    /// Parses a string (RFC 8941, section 3.3.3) or the unquoted form.
    fn parse(value: &str) -> Option<Self> {
        let value = value.trim_matches(' ');
        let key = match value.strip_prefix('"') {
            Some(rest) => unquoted(rest.strip_suffix('"')?)?,
            None => {
                let legal = |b: u8| b.is_ascii_alphanumeric() || UNQUOTED.contains(&b);
                value.bytes().all(legal).then(|| value.to_owned())?
            }
        };
        (1..=MAX_LENGTH).contains(&key.len()).then_some(Self(key))
    }

    /// Returns the key as it is written between quotes.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn escaped(&self) -> String {
        self.0.replace('\\', "\\\\").replace('"', "\\\"")
    }

    /// Derives the object of a principal's upload with this key.
    pub(crate) fn identity(
        &self,
        principal: Option<&Principal>,
        prefix: &ObjectPrefix,
    ) -> Identity {
        let principal = principal.map_or("", Principal::as_str);
        let parts = ["gcs-uploader idempotency 1", principal, prefix.as_str(), &self.0];
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let hash: [u8; 32] = hash.finalize().into();
        let (mut name, mut seed) = ([0; 16], [0; 16]);
        name.copy_from_slice(&hash[..16]);
        seed.copy_from_slice(&hash[16..]);
        Identity { name: prefix.derived_name(name), seed: Seed::new(u128::from_be_bytes(seed)) }
    }
}

/// Returns the unescaped text of a quoted string, without its quotes.
fn unquoted(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        out.push(match character {
            '\\' => characters.next().filter(|escaped| matches!(escaped, '"' | '\\'))?,
            '"' => return None,
            ' '..='~' => character,
            _ => return None,
        });
    }
    Some(out)
}

fn invalid_key(detail: &str) -> Problem {
    Problem::new(&problem::BAD_IDEMPOTENCY_KEY, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(value: &str) -> IdempotencyKey {
        IdempotencyKey::from_headers(&[value]).unwrap().unwrap()
    }

    fn identity(key_value: &str, caller: Option<&str>, prefix: &str) -> Identity {
        let caller = caller.map(|name| name.parse().unwrap());
        key(key_value).identity(caller.as_ref(), &prefix.parse().unwrap())
    }

    #[test]
    fn idempotency_key_is_optional() {
        assert_eq!(IdempotencyKey::from_headers(&[]).unwrap(), None);
    }

    #[test]
    fn quoted_and_unquoted_key_are_equal() {
        let uuid = "8e03978e-40d5-43e8-bc93-6894a57f9324";
        assert_eq!(key(uuid), key(&format!("\"{uuid}\"")));
        assert_eq!(key(uuid), key(&format!(" {uuid} ")));
    }

    #[test]
    fn quoted_key_may_contain_escapes() {
        assert_eq!(key(r#""a \"b\" \\c""#), IdempotencyKey(r#"a "b" \c"#.to_owned()));
    }

    #[test]
    fn invalid_key_is_refused() {
        let (long, quoted) = ("k".repeat(256), format!("\"{}\"", "k".repeat(256)));
        for value in [
            "",
            " ",
            "\"\"",
            "\"",
            "\"a",
            "a\"",
            "\"a\"b\"",
            "\"a\\\"",
            "\"a\\b\"",
            "a b",
            "a,b",
            "a;b=1",
            "\"a\";b=1",
            "(a)",
            "\"\u{7f}\"",
            "\"\t\"",
            "\u{e9}",
            &long,
            &quoted,
        ] {
            assert_eq!(
                IdempotencyKey::from_headers(&[value]).unwrap_err().status(),
                400,
                "{value:?}"
            );
        }
        assert_eq!(IdempotencyKey::from_headers(&["a", "a"]).unwrap_err().status(), 400);
        assert!(
            IdempotencyKey::from_headers(&[&long[1..]]).is_ok()
                && IdempotencyKey::from_headers(&[&format!("\"{}\"", &long[1..])]).is_ok()
        );
    }

    #[test]
    fn identity_differs_by_key_principal_and_prefix() {
        let names: std::collections::HashSet<_> = [
            identity("k", None, "p/"),
            identity("l", None, "p/"),
            identity("k", Some("k"), "p/"),
            identity("k", Some("l"), "p/"),
            identity("k", Some("l"), "p/l"),
        ]
        .into_iter()
        .flat_map(|identity| [identity.name, identity.seed.to_string()])
        .collect();
        assert_eq!(names.len(), 10);
    }

    // Computed with another implementation of SHA-256 from the description at the top of this module.
    // If this test fails, a repeated request stores a second object.
    #[test]
    fn derivation_never_changes() {
        let is = identity("8e03978e-40d5-43e8-bc93-6894a57f9324", Some("ci"), "reports/");
        assert_eq!(is.name, "reports/9ab28967-d754-874f-83fd-135a65b78ffc");
        assert_eq!(is.seed.to_string(), "d5ea41268ded915b8bd98f6dbce3fb70");
        let is = identity("\"a \\\"b\\\"\"", None, "");
        assert_eq!(is.name, "7eeaf4c6-5369-80b4-96a8-45308bf74910");
        assert_eq!(is.seed.to_string(), "85893c09b6ed5360595cd24bdba94bc0");
    }
}
