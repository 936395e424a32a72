//! `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header-07): a client that lost the answer
//! to an upload repeats it with the same key, and gets the same object.
//!
//! Nothing is remembered here. The object's name and its content derive from the key, and Cloud
//! Storage creates no object that exists (`ifGenerationMatch=0`): so it is the bucket that
//! remembers, for every replica, after every restart, and as long as the object is there.
//!
//! # How a name derives
//!
//! This is for ever: another derivation would store an object twice.
//!
//! SHA-256 over, one after the other, each preceded by its length in bytes as eight bytes, big
//! endian: the text `gcs-uploader idempotency 1`, the name of the caller's token (nothing where
//! tokens are not asked for), the prefix of the objects' names, and the key. The first 16 bytes
//! of the hash, as a UUID version 8 (RFC 9562, section 5.8), follow the prefix in the name; the
//! last 16 are the seed of the content, big endian.

use sha2::{Digest as _, Sha256};

use crate::content::{ObjectPrefix, Seed};
use crate::server::auth::Caller;
use crate::server::problem::{self, Problem};

/// The longest key, in characters.
const LONGEST: usize = 255;

/// The bare form's characters: what RFC 8941 allows in a token, wherever they stand, so that a
/// UUID needs no quotes.
const BARE: &[u8] = b"!#$%&'*+-.^_`|~:/";

/// What a client calls the upload, whichever way it wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key(String);

/// What is the same for every upload with the same key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) name: String,
    pub(crate) seed: Seed,
}

impl Key {
    /// The key in the values of all `Idempotency-Key` headers of a request.
    pub(crate) fn of(values: &[&str]) -> Result<Option<Self>, Problem> {
        match values {
            [] => Ok(None),
            [one] => match Self::parse(one) {
                Some(key) => Ok(Some(key)),
                None => Err(bad_key(
                    "Idempotency-Key must be 1 to 255 printable ASCII characters in double quotes; \
                     without quotes, letters, digits and !#$%&'*+-.^_`|~:/ will do.",
                )),
            },
            _ => Err(bad_key("Idempotency-Key is there more than once: send one.")),
        }
    }

    /// A string of RFC 8941, section 3.3.3, or a bare word.
    fn parse(value: &str) -> Option<Self> {
        let value = value.trim_matches(' ');
        let key = match value.strip_prefix('"') {
            Some(rest) => unquoted(rest.strip_suffix('"')?)?,
            None => {
                let legal = |b: u8| b.is_ascii_alphanumeric() || BARE.contains(&b);
                value.bytes().all(legal).then(|| value.to_owned())?
            }
        };
        (1..=LONGEST).contains(&key.len()).then_some(Self(key))
    }

    /// The key as it stands between quotes.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn escaped(&self) -> String {
        self.0.replace('\\', "\\\\").replace('"', "\\\"")
    }

    /// What the key stands for when this caller uses it.
    pub(crate) fn identity(&self, caller: Option<&Caller>, prefix: &ObjectPrefix) -> Identity {
        let caller = caller.map_or("", Caller::as_str);
        let parts = ["gcs-uploader idempotency 1", caller, prefix.as_str(), &self.0];
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

/// What stands between the quotes, with its escapes undone.
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

fn bad_key(detail: &str) -> Problem {
    Problem::new(&problem::BAD_IDEMPOTENCY_KEY, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(value: &str) -> Key {
        Key::of(&[value]).unwrap().unwrap()
    }

    fn identity(key_value: &str, caller: Option<&str>, prefix: &str) -> Identity {
        let caller = caller.map(|name| name.parse().unwrap());
        key(key_value).identity(caller.as_ref(), &prefix.parse().unwrap())
    }

    #[test]
    fn there_may_be_none() {
        assert_eq!(Key::of(&[]).unwrap(), None);
    }

    #[test]
    fn quoted_or_bare_it_is_the_same() {
        let uuid = "8e03978e-40d5-43e8-bc93-6894a57f9324";
        assert_eq!(key(uuid), key(&format!("\"{uuid}\"")));
        assert_eq!(key(uuid), key(&format!(" {uuid} ")));
    }

    #[test]
    fn a_quoted_one_may_have_what_must_be_escaped() {
        assert_eq!(key(r#""a \"b\" \\c""#), Key(r#"a "b" \c"#.to_owned()));
    }

    #[test]
    fn a_senseless_one_is_refused() {
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
            assert_eq!(Key::of(&[value]).unwrap_err().status(), 400, "{value:?}");
        }
        assert_eq!(Key::of(&["a", "a"]).unwrap_err().status(), 400);
        assert!(
            Key::of(&[&long[1..]]).is_ok() && Key::of(&[&format!("\"{}\"", &long[1..])]).is_ok()
        );
    }

    #[test]
    fn it_is_the_callers_own() {
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

    // Worked out with another implementation of SHA-256 from what this module's head says. If
    // this test fails, every repetition in the world stores a second object.
    #[test]
    fn the_derivation_is_for_ever() {
        let is = identity("8e03978e-40d5-43e8-bc93-6894a57f9324", Some("ci"), "reports/");
        assert_eq!(is.name, "reports/9ab28967-d754-874f-83fd-135a65b78ffc");
        assert_eq!(is.seed.to_string(), "d5ea41268ded915b8bd98f6dbce3fb70");
        let is = identity("\"a \\\"b\\\"\"", None, "");
        assert_eq!(is.name, "7eeaf4c6-5369-80b4-96a8-45308bf74910");
        assert_eq!(is.seed.to_string(), "85893c09b6ed5360595cd24bdba94bc0");
    }
}
