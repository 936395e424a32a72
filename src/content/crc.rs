//! CRC32C (Castagnoli) checksums, as Cloud Storage states them.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

/// A CRC32C checksum.
///
/// Written and read the way Cloud Storage does: the base64 of its four bytes, big-endian
/// (<https://docs.cloud.google.com/storage/docs/data-validation>).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Crc32c(u32);

impl Crc32c {
    /// The checksum with this value.
    pub const fn new(value: u32) -> Self {
        Self(value)
    }

    /// The checksum of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(crc32c::crc32c(bytes))
    }

    /// The checksum of the bytes that this one is of, and then `bytes`.
    pub fn append(self, bytes: &[u8]) -> Self {
        Self(crc32c::crc32c_append(self.0, bytes))
    }

    /// The checksum's value.
    pub const fn value(self) -> u32 {
        self.0
    }

    /// Reads the form that [`Display`](fmt::Display) writes; `None` for anything else.
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
            serde::de::Error::custom(format!("{text:?} is not the base64 of a CRC32C"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The check value of CRC-32C in RFC 3720, B.4, and of every catalogue: that of "123456789".
    #[test]
    fn writes_the_base64_of_the_big_endian_value() {
        let crc = Crc32c::of(b"123456789");
        assert_eq!(crc.value(), 0xE306_9283);
        assert_eq!(crc.to_string(), "4waSgw==");
    }

    #[test]
    fn grows_with_the_bytes() {
        let whole = Crc32c::of(b"123456789");
        assert_eq!(Crc32c::of(b"").append(b"1234").append(b"").append(b"56789"), whole);
    }

    #[test]
    fn reads_back_what_it_writes() {
        let crc = Crc32c::new(0x0102_0304);
        assert_eq!(Crc32c::from_base64(&crc.to_string()), Some(crc));
    }

    #[test]
    fn reads_nothing_else() {
        for text in ["", "4waSgw", "4waSg", "AAAAAAA=", "!!!!!!==", "4waSgw== "] {
            assert_eq!(Crc32c::from_base64(text), None, "{text:?}");
        }
    }
}
