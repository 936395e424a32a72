//! A resumable upload's session, and the offsets that Cloud Storage states for it
//! (<https://docs.cloud.google.com/storage/docs/performing-resumable-uploads>).

use std::fmt;

/// A session's URI. Whoever holds it may write the object, so it is shown to nobody: its `Debug`
/// form hides it, and it has no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Session(String);

impl Session {
    pub(super) fn new(uri: String) -> Self {
        Self(uri)
    }

    /// The URI itself, for the request that is made to it.
    pub(super) fn uri(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Session(…)")
    }
}

/// Range of bytes in the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ByteRange {
    /// End of the range, exclusive.
    pub(super) end: u64,
    /// The whole object's size, if it is known that they end with the object.
    pub(super) total: Option<u64>,
}

/// Returns how many bytes a 308 reports as stored: `Range: bytes=0-N` means N + 1, no header means
/// none. `None` if the header is invalid, given that at most `sent` bytes can have arrived.
pub(super) fn persisted(range: Option<&str>, sent: u64) -> Option<u64> {
    let Some(range) = range else { return Some(0) };
    let last = range.trim().strip_prefix("bytes=0-")?;
    if !last.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let persisted = last.parse::<u64>().ok()?.checked_add(1)?;
    (persisted <= sent).then_some(persisted)
}

/// The `Content-Range` of the bytes from `offset` to the end of those at hand. An empty rest has no
/// range of its own: it is written like a status query, and finishes an object of no bytes.
pub(super) fn content_range(offset: u64, byte_range: ByteRange) -> String {
    match byte_range.end.checked_sub(1) {
        Some(last) if offset <= last => format!("bytes {offset}-{last}/{}", size(byte_range)),
        _ => status_query(byte_range),
    }
}

/// The `Content-Range` of a status query. It finishes the object if that is all it lacks, so it
/// states the size only where no other byte can follow.
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
    fn a_range_states_what_is_persisted() {
        assert_eq!(persisted(None, 10), Some(0));
        assert_eq!(persisted(Some("bytes=0-0"), 10), Some(1));
        assert_eq!(persisted(Some("bytes=0-9"), 10), Some(10));
    }

    #[test]
    fn a_senseless_range_states_nothing() {
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
    fn content_ranges_go_to_the_end() {
        let whole = |size| ByteRange { end: size, total: Some(size) };
        assert_eq!(content_range(0, whole(10)), "bytes 0-9/10");
        assert_eq!(content_range(9, whole(10)), "bytes 9-9/10");
        assert_eq!(content_range(0, whole(0)), "bytes */0");
        assert_eq!(content_range(10, whole(10)), "bytes */10");
        assert_eq!(status_query(whole(10)), "bytes */10");
    }

    #[test]
    fn a_part_that_is_not_the_last_leaves_the_size_open() {
        let part = ByteRange { end: 20, total: None };
        assert_eq!(content_range(10, part), "bytes 10-19/*");
        assert_eq!(status_query(part), "bytes */*");
    }

    #[test]
    fn a_session_is_not_shown() {
        let session = Session::new("http://h/u?upload_id=secret".into());
        assert!(!format!("{session:?}").contains("secret"));
    }
}
