//! CRC32C (Castagnoli) checksums in Cloud Storage's format.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

/// A CRC32C checksum.
///
/// Its text format is Cloud Storage's: the base64 of four bytes, big-endian
/// (<https://docs.cloud.google.com/storage/docs/data-validation>).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Crc32c(u32);

impl Crc32c {
    /// Creates a checksum from its value.
    pub const fn new(value: u32) -> Self {
        Self(value)
    }

    /// Computes the checksum of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(crc32c::crc32c(bytes))
    }

    /// Returns the checksum after `bytes` are appended to the bytes of this one.
    pub fn append(self, bytes: &[u8]) -> Self {
        Self(crc32c::crc32c_append(self.0, bytes))
    }

    /// Returns the checksum's value.
    pub const fn value(self) -> u32 {
        self.0
    }

    /// Parses the format of [`Display`](fmt::Display); `None` for any other text.
    pub fn from_base64(text: &str) -> Option<Self> {
        let bytes = BASE64.decode(text).ok()?;
        Some(Self(u32::from_be_bytes(bytes.try_into().ok()?)))
    }
}

impl fmt::Display for Crc32c {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64.encode(self.0.to_be_bytes()))
    }
}

impl fmt::Debug for Crc32c {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Crc32c({self})")
    }
}

impl Serialize for Crc32c {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Crc32c {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::from_base64(&text).ok_or_else(|| {
            serde::de::Error::custom(format!(
                "invalid CRC32C {text:?}: expected four bytes in base64"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The check value of CRC-32C, for "123456789" (RFC 3720, B.4, and CRC catalogues).
    #[test]
    fn checksum_is_displayed_as_base64_of_its_big_endian_bytes() {
        let crc = Crc32c::of(b"123456789");
        assert_eq!(crc.value(), 0xE306_9283);
        assert_eq!(crc.to_string(), "4waSgw==");
    }

    #[test]
    fn appended_parts_have_the_checksum_of_the_whole() {
        let whole = Crc32c::of(b"123456789");
        assert_eq!(Crc32c::of(b"").append(b"1234").append(b"").append(b"56789"), whole);
    }

    #[test]
    fn displayed_checksum_parses_to_itself() {
        let crc = Crc32c::new(0x0102_0304);
        assert_eq!(Crc32c::from_base64(&crc.to_string()), Some(crc));
    }

    #[test]
    fn malformed_base64_is_rejected() {
        for text in ["", "4waSgw", "4waSg", "AAAAAAA=", "!!!!!!==", "4waSgw== "] {
            assert_eq!(Crc32c::from_base64(text), None, "{text:?}");
        }
    }
}
