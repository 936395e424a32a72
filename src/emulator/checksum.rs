//! The two checksums that Cloud Storage stores with an object, and those that a client sends.
//!
//! The text format is Cloud Storage's: base64 of the big-endian CRC32C, and of the MD5
//! (<https://docs.cloud.google.com/storage/docs/data-validation>).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};

use super::error::ApiError;

/// CRC32C and MD5 of the same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Checksums {
    pub(super) crc32c: u32,
    pub(super) md5: [u8; 16],
}

impl Checksums {
    pub(super) fn crc32c_text(&self) -> String {
        STANDARD.encode(self.crc32c.to_be_bytes())
    }

    pub(super) fn md5_text(&self) -> String {
        STANDARD.encode(self.md5)
    }
}

/// Computes both checksums incrementally.
#[derive(Clone, Default)]
pub(super) struct Hasher {
    crc32c: u32,
    md5: Md5,
}

impl Hasher {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.crc32c = crc32c::crc32c_append(self.crc32c, bytes);
        self.md5.update(bytes);
    }

    pub(super) fn finish(&self) -> Checksums {
        Checksums { crc32c: self.crc32c, md5: self.md5.clone().finalize().into() }
    }
}

/// The checksums that a client expects its object to have; either may be missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ExpectedChecksums {
    crc32c: Option<u32>,
    md5: Option<[u8; 16]>,
}

impl ExpectedChecksums {
    /// Adds the `crc32c` field of an object's metadata.
    pub(super) fn expect_crc32c(&mut self, text: &str) -> Result<(), ApiError> {
        let crc32c = u32::from_be_bytes(decode("crc32c", text)?);
        set_once("crc32c", &mut self.crc32c, crc32c)
    }

    /// Adds the `md5Hash` field of an object's metadata.
    pub(super) fn expect_md5(&mut self, text: &str) -> Result<(), ApiError> {
        let md5 = decode("md5Hash", text)?;
        set_once("md5Hash", &mut self.md5, md5)
    }

    /// Adds an `x-goog-hash` header: `crc32c=…`, `md5=…`, or both separated by a comma.
    pub(super) fn expect_header(&mut self, header: &str) -> Result<(), ApiError> {
        for part in header.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            match part.split_once('=') {
                Some(("crc32c", text)) => self.expect_crc32c(text)?,
                Some(("md5", text)) => self.expect_md5(text)?,
                _ => {
                    return Err(ApiError::invalid(format!(
                        "Invalid value for x-goog-hash: {part:?} (use crc32c=… or md5=…)"
                    )));
                }
            }
        }
        Ok(())
    }

    /// Rejects content whose checksums differ from the expected ones.
    pub(super) fn verify(&self, actual: &Checksums) -> Result<(), ApiError> {
        let mismatch = |name: &str, expected: String, computed: String| {
            Err(ApiError::invalid(format!(
                "Provided {name} \"{expected}\" doesn't match calculated {name} \"{computed}\"."
            )))
        };
        match (self.crc32c, self.md5) {
            (Some(crc32c), _) if crc32c != actual.crc32c => {
                mismatch("CRC32C", STANDARD.encode(crc32c.to_be_bytes()), actual.crc32c_text())
            }
            (_, Some(md5)) if md5 != actual.md5 => {
                mismatch("MD5 hash", STANDARD.encode(md5), actual.md5_text())
            }
            _ => Ok(()),
        }
    }
}

fn decode<const N: usize>(name: &str, text: &str) -> Result<[u8; N], ApiError> {
    STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| {
        ApiError::invalid(format!("Invalid value for {name}: it must be {N} bytes in base64."))
    })
}

/// Sets a checksum. A client may send the same value again, but not another one.
fn set_once<T: PartialEq>(name: &str, known: &mut Option<T>, new: T) -> Result<(), ApiError> {
    match known {
        Some(known) if *known != new => Err(ApiError::invalid(format!(
            "The {name} of this request differs from the one sent before."
        ))),
        _ => {
            *known = Some(new);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: &[u8]) -> Checksums {
        let mut hasher = Hasher::default();
        hasher.update(bytes);
        hasher.finish()
    }

    #[test]
    fn checksums_are_base64_of_big_endian_bytes() {
        // The check value of CRC-32C (RFC 3720, and the CRC catalogue), and RFC 1321's for MD5.
        assert_eq!(of(b"123456789").crc32c, 0xe306_9283);
        assert_eq!(of(b"123456789").crc32c_text(), "4waSgw==");
        assert_eq!(of(b"").md5_text(), "1B2M2Y8AsgTpgAmY7PhCfg==");
        assert_eq!(of(b"").crc32c_text(), "AAAAAA==");
    }

    #[test]
    fn expected_checksums_accept_equal_values_and_reject_others() {
        let mut expected = ExpectedChecksums::default();
        expected.expect_header("crc32c=4waSgw==, md5=JfnnlDI7RTiF9RgfG2JNCw==").unwrap();
        expected.expect_crc32c("4waSgw==").unwrap();
        assert_eq!(expected.verify(&of(b"123456789")), Ok(()));
        assert_eq!(expected.verify(&of(b"123456780")).unwrap_err().status, 400);
        assert_eq!(expected.expect_crc32c("AAAAAA==").unwrap_err().status, 400);
    }

    #[test]
    fn malformed_checksum_headers_are_rejected() {
        for header in
            ["crc32c", "crc32c=", "crc32c=4waS", "sha1=4waSgw==", "md5=4waSgw==", "=", "§"]
        {
            let error = ExpectedChecksums::default().expect_header(header).expect_err(header);
            assert_eq!(error.status, 400, "{header}");
        }
    }
}
