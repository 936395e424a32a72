//! The `Content-Range` header of requests to an upload session (RFC 9110, section 14.4, which
//! Cloud Storage uses in requests).

use super::error::ApiError;

/// The part of the object that a request to a session contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ContentRange {
    /// `bytes */12`, `bytes */*`: no part. Asks how much is persisted.
    Status {
        /// The size of the object, if the client sent it.
        total: Option<u64>,
    },
    /// `bytes 0-9/12`, `bytes 0-9/*`: these bytes, both offsets included.
    Chunk {
        /// Offset of the first byte.
        first: u64,
        /// Offset of the last byte.
        last: u64,
        /// The size of the object, if the client sent it.
        total: Option<u64>,
    },
}

impl ContentRange {
    pub(super) fn parse(header: &str) -> Result<Self, ApiError> {
        parse(header).ok_or_else(|| {
            ApiError::protocol_violation(
                400,
                "badContentRange",
                format!("Failed to parse Content-Range header: {:?}", truncate(header)),
            )
        })
    }
}

fn parse(header: &str) -> Option<ContentRange> {
    let (range, total) = header.trim().strip_prefix("bytes ")?.trim().split_once('/')?;
    let total = match total {
        "*" => None,
        digits => Some(number(digits)?),
    };
    if range == "*" {
        return Some(ContentRange::Status { total });
    }
    let (first, last) = range.split_once('-')?;
    let (first, last) = (number(first)?, number(last)?);
    let valid = first <= last && last < u64::MAX && total.is_none_or(|total| last < total);
    valid.then_some(ContentRange::Chunk { first, last, total })
}

/// Digits only: `str::parse` alone accepts a sign.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn truncate(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_and_status_queries_are_parsed() {
        let chunk = |first, last, total| ContentRange::Chunk { first, last, total };
        for (header, range) in [
            ("bytes 0-9/12", chunk(0, 9, Some(12))),
            ("bytes 10-11/12", chunk(10, 11, Some(12))),
            ("bytes 0-0/*", chunk(0, 0, None)),
            ("bytes */12", ContentRange::Status { total: Some(12) }),
            ("bytes */0", ContentRange::Status { total: Some(0) }),
            ("bytes */*", ContentRange::Status { total: None }),
        ] {
            assert_eq!(ContentRange::parse(header), Ok(range), "{header}");
        }
    }

    #[test]
    fn malformed_content_ranges_are_rejected() {
        for header in [
            "",
            "bytes",
            "bytes ",
            "bytes 0-9",
            "bytes 9-0/12",
            "bytes 0-12/12",
            "bytes 0-/12",
            "bytes -9/12",
            "bytes +0-9/12",
            "bytes 0-9/12/13",
            "items 0-9/12",
            "bytes 0-9/x",
            "bytes 0-18446744073709551615/*",
            "bytes 0-9/18446744073709551616",
        ] {
            assert_eq!(ContentRange::parse(header).expect_err(header).status, 400);
        }
    }
}
