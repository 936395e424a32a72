//! The two checksums that Cloud Storage keeps of an object, and those that a client announces.
//!
//! Written as Cloud Storage writes them: base64 of the big-endian CRC32C, and of the MD5
//! (<https://docs.cloud.google.com/storage/docs/data-validation>).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};

use super::error::ApiError;

/// The checksums of some bytes.
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

/// Takes bytes as they come, and knows their checksums.
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

/// The checksums that a client says its object has; either may be missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Announced {
    crc32c: Option<u32>,
    md5: Option<[u8; 16]>,
}

impl Announced {
    /// Takes the `crc32c` field of an object's metadata.
    pub(super) fn announce_crc32c(&mut self, text: &str) -> Result<(), ApiError> {
        let crc32c = u32::from_be_bytes(decode("crc32c", text)?);
        agree("crc32c", &mut self.crc32c, crc32c)
    }

    /// Takes the `md5Hash` field of an object's metadata.
    pub(super) fn announce_md5(&mut self, text: &str) -> Result<(), ApiError> {
        let md5 = decode("md5Hash", text)?;
        agree("md5Hash", &mut self.md5, md5)
    }

    /// Takes an `x-goog-hash` header: `crc32c=…`, `md5=…`, or both with a comma between.
    pub(super) fn announce_header(&mut self, header: &str) -> Result<(), ApiError> {
        for part in header.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            match part.split_once('=') {
                Some(("crc32c", text)) => self.announce_crc32c(text)?,
                Some(("md5", text)) => self.announce_md5(text)?,
                _ => {
                    return Err(ApiError::invalid(format!(
                        "Invalid value for x-goog-hash: {part:?} (write crc32c=… or md5=…)"
                    )));
                }
            }
        }
        Ok(())
    }

    /// Refuses content that is not what was announced.
    pub(super) fn check(&self, actual: &Checksums) -> Result<(), ApiError> {
        let mismatch = |name: &str, announced: String, computed: String| {
            Err(ApiError::invalid(format!(
                "Provided {name} \"{announced}\" doesn't match calculated {name} \"{computed}\"."
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

/// A client may repeat itself, but not contradict itself.
fn agree<T: PartialEq>(name: &str, known: &mut Option<T>, new: T) -> Result<(), ApiError> {
    match known {
        Some(known) if *known != new => Err(ApiError::invalid(format!(
            "The {name} of this request differs from the one announced before."
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
    fn writes_checksums_as_cloud_storage_does() {
        // The check value of CRC-32C (RFC 3720, and the CRC catalogue), and RFC 1321's for MD5.
        assert_eq!(of(b"123456789").crc32c, 0xe306_9283);
        assert_eq!(of(b"123456789").crc32c_text(), "4waSgw==");
        assert_eq!(of(b"").md5_text(), "1B2M2Y8AsgTpgAmY7PhCfg==");
        assert_eq!(of(b"").crc32c_text(), "AAAAAA==");
    }

    #[test]
    fn takes_what_agrees_and_refuses_what_does_not() {
        let mut announced = Announced::default();
        announced.announce_header("crc32c=4waSgw==, md5=JfnnlDI7RTiF9RgfG2JNCw==").unwrap();
        announced.announce_crc32c("4waSgw==").unwrap();
        assert_eq!(announced.check(&of(b"123456789")), Ok(()));
        assert_eq!(announced.check(&of(b"123456780")).unwrap_err().status, 400);
        assert_eq!(announced.announce_crc32c("AAAAAA==").unwrap_err().status, 400);
    }

    #[test]
    fn refuses_what_is_no_checksum() {
        for header in
            ["crc32c", "crc32c=", "crc32c=4waS", "sha1=4waSgw==", "md5=4waSgw==", "=", "§"]
        {
            let error = Announced::default().announce_header(header).expect_err(header);
            assert_eq!(error.status, 400, "{header}");
        }
    }
}
