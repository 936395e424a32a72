//! Session of a resumable upload, and its offsets
//! (<https://docs.cloud.google.com/storage/docs/performing-resumable-uploads>).

use std::fmt;

/// A session URI. It is a secret, as it authorizes writing the object. Therefore `Debug` hides it
/// and there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Session(String);

impl Session {
    pub(super) fn new(uri: String) -> Self {
        Self(uri)
    }

    /// Returns the URI, for requests to the session.
    pub(super) fn uri(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Session(…)")
    }
}

/// Position of the available bytes within the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ByteRange {
    /// Offset of their end.
    pub(super) end: u64,
    /// Size of the object, if the bytes are known to reach its end.
    pub(super) total: Option<u64>,
}

/// Parses the `Range` of a 308: `bytes=0-N` means that N + 1 bytes are stored, a missing header
/// means none. Returns `None` if the value is invalid or exceeds `sent`.
pub(super) fn persisted(range: Option<&str>, sent: u64) -> Option<u64> {
    let Some(range) = range else { return Some(0) };
    let last = range.trim().strip_prefix("bytes=0-")?;
    if !last.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let persisted = last.parse::<u64>().ok()?.checked_add(1)?;
    (persisted <= sent).then_some(persisted)
}

/// Returns the `Content-Range` of the bytes from `offset` to the end of the range. An empty range
/// has no notation of its own: it is written like a status query, which completes an empty object.
pub(super) fn content_range(offset: u64, byte_range: ByteRange) -> String {
    match byte_range.end.checked_sub(1) {
        Some(last) if offset <= last => format!("bytes {offset}-{last}/{}", size(byte_range)),
        _ => status_query(byte_range),
    }
}

/// Returns the `Content-Range` of a status query. A query with the size completes the object if all
/// bytes are stored, so the size is given only if no more bytes can follow.
pub(super) fn status_query(byte_range: ByteRange) -> String {
    format!("bytes */{}", size(byte_range))
}

fn size(byte_range: ByteRange) -> String {
    byte_range.total.map_or_else(|| "*".to_owned(), |total| total.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn range_header_gives_the_stored_bytes() {
        assert_eq!(persisted(None, 10), Some(0));
        assert_eq!(persisted(Some("bytes=0-0"), 10), Some(1));
        assert_eq!(persisted(Some("bytes=0-9"), 10), Some(10));
    }

    #[test]
    fn invalid_range_header_is_rejected() {
        for range in [
            "",
            "bytes",
            "bytes=",
            "bytes=0-",
            "bytes=0-10",
            "bytes=5-2",
            "bytes=1-5",
            "bytes=0--1",
            "bytes=0-+1",
            "bytes=0-x",
            "0-5",
            "bytes=0-18446744073709551615",
            "bytes=0-5,7-9",
            "bytes=0-99999999999999999999",
        ] {
            assert_eq!(persisted(Some(range), 10), None, "{range:?}");
        }
    }

    #[test]
    fn content_range_reaches_the_end_of_the_object() {
        let whole = |size| ByteRange { end: size, total: Some(size) };
        assert_eq!(content_range(0, whole(10)), "bytes 0-9/10");
        assert_eq!(content_range(9, whole(10)), "bytes 9-9/10");
        assert_eq!(content_range(0, whole(0)), "bytes */0");
        assert_eq!(content_range(10, whole(10)), "bytes */10");
        assert_eq!(status_query(whole(10)), "bytes */10");
    }

    #[test]
    fn content_range_of_an_inner_part_has_no_size() {
        let part = ByteRange { end: 20, total: None };
        assert_eq!(content_range(10, part), "bytes 10-19/*");
        assert_eq!(status_query(part), "bytes */*");
    }

    #[test]
    fn session_uri_is_hidden_in_debug_output() {
        let session = Session::new("http://h/u?upload_id=secret".into());
        assert!(!format!("{session:?}").contains("secret"));
    }
}
