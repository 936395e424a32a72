//! Checksums that a client sends with its bytes, and their verification.
//!
//! They are in `x-goog-hash` (as Cloud Storage's own clients send it), `Content-MD5` (RFC 1864), and
//! `Repr-Digest` and `Content-Digest` (RFC 9530), which mean the same here, as no content coding is
//! accepted. Unknown algorithms are ignored; an invalid checksum is refused.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use md5::Md5;
use sha2::{Digest as _, Sha256, Sha512};

use crate::http::body_source::BodyError;

/// Padding may be missing (RFC 8941, section 4.2.7).
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Headers with checksums.
pub(crate) const HEADERS: [&str; 4] =
    ["x-goog-hash", "Content-MD5", "Repr-Digest", "Content-Digest"];

/// Algorithm of a checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Crc32c,
    Md5,
    Sha256,
    Sha512,
}

impl Algorithm {
    const ALL: [Self; 4] = [Self::Crc32c, Self::Md5, Self::Sha256, Self::Sha512];

    /// Returns the name in the IANA registry for RFC 9530; Cloud Storage uses the same names.
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

    /// Returns the length of a checksum in bytes.
    fn length(self) -> usize {
        match self {
            Self::Crc32c => 4,
            Self::Md5 => 16,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

/// Digests that the bytes must have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ExpectedDigests(Vec<(Algorithm, Vec<u8>)>);

/// Header with an invalid checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InvalidChecksum {
    pub(crate) header: &'static str,
}

impl ExpectedDigests {
    /// Reads the digests from headers; `values_of` returns the values of all headers with a name.
    pub(crate) fn from_headers<'a>(
        values_of: impl Fn(&'static str) -> Vec<&'a str>,
    ) -> Result<Self, InvalidChecksum> {
        let mut digests = Self::default();
        for header in HEADERS {
            for value in values_of(header) {
                let found = match header {
                    "x-goog-hash" => digests.add_goog_hash(value),
                    "Content-MD5" => digests.add(Algorithm::Md5, value.trim()),
                    _ => digests.add_dictionary(value),
                };
                found.ok_or(InvalidChecksum { header })?;
            }
        }
        Ok(digests)
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
    /// (RFC 8941, section 3.2); their parameters are ignored.
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

/// Hash of the bytes received so far.
enum Hasher {
    Crc32c(u32),
    Md5(Md5),
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Hasher {
    fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Crc32c => Self::Crc32c(0),
            Algorithm::Md5 => Self::Md5(Md5::new()),
            Algorithm::Sha256 => Self::Sha256(Sha256::new()),
            Algorithm::Sha512 => Self::Sha512(Sha512::new()),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Crc32c(crc) => *crc = crc32c::crc32c_append(*crc, bytes),
            Self::Md5(hash) => hash.update(bytes),
            Self::Sha256(hash) => hash.update(bytes),
            Self::Sha512(hash) => hash.update(bytes),
        }
    }

    fn digest(&self) -> Vec<u8> {
        match self {
            Self::Crc32c(crc) => crc.to_be_bytes().to_vec(),
            Self::Md5(hash) => hash.clone().finalize().to_vec(),
            Self::Sha256(hash) => hash.clone().finalize().to_vec(),
            Self::Sha512(hash) => hash.clone().finalize().to_vec(),
        }
    }
}

/// Verifier of the expected digests while the bytes arrive.
pub(crate) struct DigestVerifier {
    expected: ExpectedDigests,
    /// One for each algorithm that is expected.
    hashers: Vec<(Algorithm, Hasher)>,
}

impl DigestVerifier {
    pub(crate) fn new(expected: ExpectedDigests) -> Self {
        let is_expected = |wanted: &Algorithm| expected.0.iter().any(|(known, _)| known == wanted);
        let algorithms = Algorithm::ALL.into_iter().filter(is_expected);
        let hashers = algorithms.map(|algorithm| (algorithm, Hasher::new(algorithm))).collect();
        Self { expected, hashers }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.hashers.iter_mut().for_each(|(_, hasher)| hasher.update(bytes));
    }

    /// Compares the digests of all bytes so far with the expected ones. Can be repeated.
    pub(crate) fn verify(&self) -> Result<(), BodyError> {
        for (algorithm, expected) in &self.expected.0 {
            let computed = self.digest(*algorithm);
            if computed != *expected {
                return Err(BodyError::ChecksumMismatch(format!(
                    "the {} of the received bytes is {}, but the client sent {}",
                    algorithm.name(),
                    BASE64.encode(computed),
                    BASE64.encode(expected),
                )));
            }
        }
        Ok(())
    }

    fn digest(&self, algorithm: Algorithm) -> Vec<u8> {
        let mut hashers = self.hashers.iter();
        let hasher = hashers.find(|(known, _)| *known == algorithm);
        hasher.map(|(_, hasher)| hasher.digest()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(lines: &[(&str, &'static str)]) -> Result<ExpectedDigests, InvalidChecksum> {
        ExpectedDigests::from_headers(|name| {
            lines.iter().filter(|(n, _)| *n == name).map(|(_, v)| *v).collect()
        })
    }

    /// Returns whether the bytes have the digest in this header.
    fn matches(header: &str, value: &'static str, bytes: &[u8]) -> bool {
        let expected = expected(&[(header, value)]).expect(value);
        assert!(!expected.is_empty(), "{value}");
        let mut verifier = DigestVerifier::new(expected);
        bytes.chunks(3).for_each(|part| verifier.update(part));
        verifier.verify().is_ok()
    }

    // Worked out with other implementations.
    #[test]
    fn every_header_and_algorithm_is_verified() {
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
            assert!(matches(header, value, b"hello world"), "{value}");
            assert!(!matches(header, value, b"hello World"), "{value}");
            assert!(!matches(header, value, b""), "{value}");
        }
    }

    #[test]
    fn every_expected_digest_must_match() {
        let lines = [
            ("x-goog-hash", "crc32c=yZRlqg=="),
            ("x-goog-hash", "md5=XrY7u+Ae7tCTyyK7j1rNww=="),
            ("Content-MD5", "1B2M2Y8AsgTpgAmY7PhCfg=="),
        ];
        let mut verifier = DigestVerifier::new(expected(&lines).unwrap());
        verifier.update(b"hello world");
        let Err(BodyError::ChecksumMismatch(text)) = verifier.verify() else {
            panic!("the last one is wrong")
        };
        assert!(text.contains("md5") && text.contains("1B2M2Y8AsgTpgAmY7PhCfg=="), "{text}");
    }

    #[test]
    fn unknown_algorithm_is_ignored() {
        for value in ["unixsum=:AA==:", "sha-1024=:AA==:;q=1"] {
            assert!(expected(&[("Repr-Digest", value)]).unwrap().is_empty(), "{value}");
        }
        assert!(expected(&[("x-goog-hash", "sha1=x")]).unwrap().is_empty());
        assert_eq!(DigestVerifier::new(ExpectedDigests::default()).verify(), Ok(()));
    }

    #[test]
    fn invalid_checksum_is_refused() {
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
            let refused = expected(&[(header, value)]).expect_err(value);
            assert_eq!(refused.header, header);
        }
    }
}
