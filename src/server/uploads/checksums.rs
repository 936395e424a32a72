//! The checksums that a client states of what it sends, and whether the bytes have them.
//!
//! They come in `x-goog-hash` (as Cloud Storage's own clients send it), `Content-MD5` (RFC 1864), and
//! `Repr-Digest` and `Content-Digest` (RFC 9530), which mean the same here, as no content coding is
//! taken. An algorithm that is not known is ignored; a checksum that makes no sense is refused.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use md5::Md5;
use sha2::{Digest as _, Sha256, Sha512};

use crate::http::body_source::Fault;

/// Padding may be missing (RFC 8941, section 4.2.7).
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The headers that state checksums.
pub(crate) const HEADERS: [&str; 4] =
    ["x-goog-hash", "Content-MD5", "Repr-Digest", "Content-Digest"];

/// How a checksum is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Crc32c,
    Md5,
    Sha256,
    Sha512,
}

impl Algorithm {
    const ALL: [Self; 4] = [Self::Crc32c, Self::Md5, Self::Sha256, Self::Sha512];

    /// As the IANA registry for RFC 9530 has it, and Cloud Storage where it knows one.
    fn name(self) -> &'static str {
        match self {
            Self::Crc32c => "crc32c",
            Self::Md5 => "md5",
            Self::Sha256 => "sha-256",
            Self::Sha512 => "sha-512",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }

    /// The length of a checksum, in bytes.
    fn length(self) -> usize {
        match self {
            Self::Crc32c => 4,
            Self::Md5 => 16,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

/// What a client states.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stated(Vec<(Algorithm, Vec<u8>)>);

/// A header with a checksum that makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadChecksum {
    pub(crate) header: &'static str,
}

impl Stated {
    /// What these headers state; `values_of` has the values of all headers of a name.
    pub(crate) fn of<'a>(
        values_of: impl Fn(&'static str) -> Vec<&'a str>,
    ) -> Result<Self, BadChecksum> {
        let mut stated = Self::default();
        for header in HEADERS {
            for value in values_of(header) {
                let found = match header {
                    "x-goog-hash" => stated.add_goog_hash(value),
                    "Content-MD5" => stated.add(Algorithm::Md5, value.trim()),
                    _ => stated.add_dictionary(value),
                };
                found.ok_or(BadChecksum { header })?;
            }
        }
        Ok(stated)
    }

    #[cfg(test)]
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `crc32c=n03x6A==,md5=Ojk9c3dhfxgoKVVHYwFbHQ==`.
    fn add_goog_hash(&mut self, value: &str) -> Option<()> {
        value.split(',').try_for_each(|member| {
            let (name, encoded) = member.trim().split_once('=')?;
            self.add_named(name, encoded)
        })
    }

    /// `sha-256=:4REjxQ4yrqUVicfSKYNO/cF9zNj5ANbzgDZt3/h3Qxo=:`, a dictionary of byte sequences
    /// (RFC 8941, section 3.2); their parameters mean nothing.
    fn add_dictionary(&mut self, value: &str) -> Option<()> {
        value.split(',').try_for_each(|member| {
            let (name, item) = member.trim().split_once('=')?;
            let (encoded, after) = item.strip_prefix(':')?.split_once(':')?;
            let alone = after.is_empty() || after.starts_with(';');
            alone.then_some(())?;
            self.add_named(name, encoded)
        })
    }

    fn add_named(&mut self, name: &str, encoded: &str) -> Option<()> {
        match Algorithm::named(&name.to_ascii_lowercase()) {
            Some(algorithm) => self.add(algorithm, encoded),
            None => Some(()),
        }
    }

    fn add(&mut self, algorithm: Algorithm, encoded: &str) -> Option<()> {
        let bytes = BASE64.decode(encoded).ok()?;
        (bytes.len() == algorithm.length()).then_some(())?;
        self.0.push((algorithm, bytes));
        Some(())
    }
}

/// Computes what is stated while the bytes come.
pub(crate) struct Check {
    stated: Stated,
    crc32c: Option<u32>,
    md5: Option<Md5>,
    sha256: Option<Sha256>,
    sha512: Option<Sha512>,
}

impl Check {
    /// Computes those alone that are stated.
    pub(crate) fn of(stated: Stated) -> Self {
        let has = |algorithm| stated.0.iter().any(|(known, _)| *known == algorithm);
        Self {
            crc32c: has(Algorithm::Crc32c).then_some(0),
            md5: has(Algorithm::Md5).then(Md5::new),
            sha256: has(Algorithm::Sha256).then(Sha256::new),
            sha512: has(Algorithm::Sha512).then(Sha512::new),
            stated,
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.crc32c = self.crc32c.map(|crc| crc32c::crc32c_append(crc, bytes));
        self.md5.iter_mut().for_each(|hash| hash.update(bytes));
        self.sha256.iter_mut().for_each(|hash| hash.update(bytes));
        self.sha512.iter_mut().for_each(|hash| hash.update(bytes));
    }

    /// Whether all that came has what is stated. Asked again, it says the same.
    pub(crate) fn verify(&self) -> Result<(), Fault> {
        let differs =
            |(algorithm, stated): &&(Algorithm, Vec<u8>)| self.made(*algorithm) != *stated;
        match self.stated.0.iter().find(differs) {
            None => Ok(()),
            Some((algorithm, stated)) => Err(Fault::Mismatch(format!(
                "the {} of the bytes that came is {}, and the client stated {}",
                algorithm.name(),
                BASE64.encode(self.made(*algorithm)),
                BASE64.encode(stated),
            ))),
        }
    }

    fn made(&self, algorithm: Algorithm) -> Vec<u8> {
        let made = match algorithm {
            Algorithm::Crc32c => self.crc32c.map(|crc| crc.to_be_bytes().to_vec()),
            Algorithm::Md5 => self.md5.clone().map(|hash| hash.finalize().to_vec()),
            Algorithm::Sha256 => self.sha256.clone().map(|hash| hash.finalize().to_vec()),
            Algorithm::Sha512 => self.sha512.clone().map(|hash| hash.finalize().to_vec()),
        };
        made.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stated(lines: &[(&str, &'static str)]) -> Result<Stated, BadChecksum> {
        Stated::of(|name| lines.iter().filter(|(n, _)| *n == name).map(|(_, v)| *v).collect())
    }

    /// Whether these bytes have what is stated.
    fn holds(header: &str, value: &'static str, bytes: &[u8]) -> bool {
        let stated = stated(&[(header, value)]).expect(value);
        assert!(!stated.is_empty(), "{value}");
        let mut check = Check::of(stated);
        bytes.chunks(3).for_each(|part| check.update(part));
        check.verify().is_ok()
    }

    // Worked out with other implementations.
    #[test]
    fn every_header_and_algorithm_is_held_to_the_bytes() {
        for (header, value) in [
            ("x-goog-hash", "crc32c=yZRlqg=="),
            ("x-goog-hash", "md5=XrY7u+Ae7tCTyyK7j1rNww=="),
            ("x-goog-hash", "crc32c=yZRlqg==,md5=XrY7u+Ae7tCTyyK7j1rNww=="),
            ("Content-MD5", "XrY7u+Ae7tCTyyK7j1rNww=="),
            ("Repr-Digest", "sha-256=:uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=:"),
            ("Repr-Digest", "md5=:XrY7u+Ae7tCTyyK7j1rNww==:, crc32c=:yZRlqg:;a=b, unixsum=:AA==:"),
            (
                "Content-Digest",
                "sha-512=:MJ7MSJwS1utMxA9QyQLytNDtd+5RGnx6m808qG1M2G+YndNbxf9JlnDaNCVbRbDP2DDoH2Bdz33F\
                 VC6TrpzXbw==:",
            ),
        ] {
            assert!(holds(header, value, b"hello world"), "{value}");
            assert!(!holds(header, value, b"hello World"), "{value}");
            assert!(!holds(header, value, b""), "{value}");
        }
    }

    #[test]
    fn all_that_is_stated_must_hold() {
        let lines = [
            ("x-goog-hash", "crc32c=yZRlqg=="),
            ("x-goog-hash", "md5=XrY7u+Ae7tCTyyK7j1rNww=="),
            ("Content-MD5", "1B2M2Y8AsgTpgAmY7PhCfg=="),
        ];
        let mut check = Check::of(stated(&lines).unwrap());
        check.update(b"hello world");
        let Err(Fault::Mismatch(text)) = check.verify() else { panic!("the last one is wrong") };
        assert!(text.contains("md5") && text.contains("1B2M2Y8AsgTpgAmY7PhCfg=="), "{text}");
    }

    #[test]
    fn an_algorithm_that_is_not_known_is_ignored() {
        for value in ["unixsum=:AA==:", "sha-1024=:AA==:;q=1"] {
            assert!(stated(&[("Repr-Digest", value)]).unwrap().is_empty(), "{value}");
        }
        assert!(stated(&[("x-goog-hash", "sha1=x")]).unwrap().is_empty());
        assert_eq!(Check::of(Stated::default()).verify(), Ok(()));
    }

    #[test]
    fn a_checksum_that_makes_no_sense_is_refused() {
        for (header, value) in [
            ("x-goog-hash", ""),
            ("x-goog-hash", "crc32c"),
            ("x-goog-hash", "crc32c=AAA"),
            ("x-goog-hash", "crc32c=yZRlqg==,"),
            ("x-goog-hash", "md5=yZRlqg=="),
            ("x-goog-hash", "crc32c=***"),
            ("Content-MD5", "yZRlqg=="),
            ("Content-MD5", "5eb63bbbe01eeed093cb22bb8f5acdc3"),
            ("Repr-Digest", "sha-256=uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek="),
            ("Repr-Digest", "sha-256=:uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=:x"),
            ("Content-Digest", "sha-512=:AA==:"),
            ("Content-Digest", "sha-256"),
        ] {
            let refused = stated(&[(header, value)]).expect_err(value);
            assert_eq!(refused.header, header);
        }
    }
}
