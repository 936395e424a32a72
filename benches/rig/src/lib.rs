//! The benchmark's programs: a store that discards bytes as fast as they arrive (`sink`), and the
//! programs that the server is compared with: the minimum work of an upload (`baseline`), and an
//! ordinary asynchronous server (`axum-peer`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Returns a CRC32C in the form that Cloud Storage uses.
pub fn crc32c_text(value: u32) -> String {
    STANDARD.encode(value.to_be_bytes())
}
