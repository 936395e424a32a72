//! The benchmark's rig: a store that takes bytes as fast as they come (`sink`), and what the server
//! is held against: the least that can be done (`floor`), and a server as many would write it
//! (`axum-peer`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A CRC32C as Cloud Storage writes it.
pub fn crc32c_text(value: u32) -> String {
    STANDARD.encode(value.to_be_bytes())
}
