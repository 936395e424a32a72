//! Downloads of an object or of a range of it (RFC 9110, section 14).

use crate::emulator::error::ApiError;
use crate::emulator::http::RequestHead;
use crate::emulator::object::Object;
use crate::emulator::precondition::Preconditions;
use crate::emulator::store::{ObjectRange, Store};
use crate::http::response::{Response, ResponseBody};

pub(super) fn download(
    store: &Store,
    bucket: &str,
    name: &str,
    head: &RequestHead,
) -> Result<Response, ApiError> {
    let preconditions = Preconditions::from_query(&head.query)?;
    let generation = head.query.number("generation")?;
    let range = head.header("Range").and_then(ByteRange::parse);
    let mut unsatisfiable = None;
    let object_range = store.open(bucket, name, generation, |object| {
        preconditions.check_read(object.version)?;
        let Some(range) = range else { return Ok((0, object.size)) };
        range.within(object.size).ok_or_else(|| {
            unsatisfiable = Some(object.size);
            ApiError::new(
                416,
                "requestedRangeNotSatisfiable",
                "The requested range cannot be satisfied.",
            )
        })
    });
    match (object_range, unsatisfiable) {
        (Err(error), Some(size)) => {
            Ok(Response::from(error).with_header("Content-Range", &format!("bytes */{size}")))
        }
        (object_range, _) => Ok(respond(object_range?, range.is_some())),
    }
}

fn respond(object_range: ObjectRange, is_part: bool) -> Response {
    let ObjectRange { object, start, length, reader } = object_range;
    let status = if is_part { 206 } else { 200 };
    let response = Response::with_body(status, ResponseBody::Stream(reader, length))
        .with_header("Content-Type", &object.metadata.content_type)
        .with_header("ETag", &object.etag())
        .with_header("Accept-Ranges", "bytes")
        .with_header("X-Goog-Generation", &object.version.generation.to_string())
        .with_header("X-Goog-Metageneration", &object.version.metageneration.to_string())
        .with_header("X-Goog-Hash", &object.hash_header())
        .with_header("X-Goog-Stored-Content-Encoding", "identity")
        .with_header("X-Goog-Stored-Content-Length", &object.size.to_string())
        .with_header("X-Goog-Storage-Class", "STANDARD");
    let response = with_metadata_headers(response, &object);
    if is_part {
        let range = format!("bytes {start}-{}/{}", start + length - 1, object.size);
        response.with_header("Content-Range", &range)
    } else {
        response
    }
}

/// Adds the headers that repeat fields of the object's metadata.
fn with_metadata_headers(response: Response, object: &Object) -> Response {
    let headers = [
        ("Cache-Control", "cacheControl"),
        ("Content-Disposition", "contentDisposition"),
        ("Content-Language", "contentLanguage"),
    ];
    headers.into_iter().fold(response, |response, (header, field)| {
        match object.metadata.fields.get(field).and_then(|value| value.as_str()) {
            Some(value) => response.with_header(header, value),
            None => response,
        }
    })
}

/// A single range. A header with several ranges, or a malformed one, is ignored, as RFC 9110
/// allows: the response is the whole object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ByteRange {
    From { first: u64, last: Option<u64> },
    Suffix { length: u64 },
}

impl ByteRange {
    fn parse(header: &str) -> Option<Self> {
        let (first, last) = header.trim().strip_prefix("bytes=")?.split_once('-')?;
        let number = |text: &str| -> Option<u64> {
            text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
        };
        match (first, last) {
            ("", length) => Some(Self::Suffix { length: number(length)? }),
            (first, "") => Some(Self::From { first: number(first)?, last: None }),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Self::From { first, last: Some(last) })
            }
        }
    }

    /// Returns start and length of the part of the range that exists; `None` if there is none.
    fn within(self, size: u64) -> Option<(u64, u64)> {
        let (start, end) = match self {
            Self::From { first, last } => {
                (first, last.map_or(size, |last| last.saturating_add(1).min(size)))
            }
            Self::Suffix { length } => (size.saturating_sub(length), size),
        };
        (start < end).then(|| (start, end - start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn range_is_limited_to_the_object() {
        for (header, of_ten) in [
            ("bytes=0-3", Some((0, 4))),
            ("bytes=2-", Some((2, 8))),
            ("bytes=-3", Some((7, 3))),
            ("bytes=-30", Some((0, 10))),
            ("bytes=9-30", Some((9, 1))),
            ("bytes=0-18446744073709551615", Some((0, 10))),
            ("bytes=10-", None),
            ("bytes=-0", None),
        ] {
            let range = ByteRange::parse(header).unwrap();
            assert_eq!(range.within(10), of_ten, "{header}");
        }
    }

    #[test]
    fn malformed_or_multiple_ranges_are_ignored() {
        for header in
            ["", "bytes", "bytes=", "bytes=3-1", "bytes=0-1,4-5", "items=0-1", "bytes=a-b"]
        {
            assert_eq!(ByteRange::parse(header), None, "{header}");
        }
    }
}
