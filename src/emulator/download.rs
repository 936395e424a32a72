//! An object's bytes, or a range of them (RFC 9110, section 14).

use super::error::ApiError;
use super::http::{Answer, Head};
use super::object::Object;
use super::precondition::Preconditions;
use super::store::{Slice, Store};

pub(super) fn download(
    store: &Store,
    bucket: &str,
    name: &str,
    head: &Head,
) -> Result<Answer, ApiError> {
    let preconditions = Preconditions::from_query(&head.query)?;
    let generation = head.query.number("generation")?;
    let range = head.header("Range").and_then(ByteRange::parse);
    let mut unsatisfiable = None;
    let slice = store.open(bucket, name, generation, |object| {
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
    match (slice, unsatisfiable) {
        (Err(error), Some(size)) => {
            Ok(Answer::from(error).with("Content-Range", format!("bytes */{size}")))
        }
        (slice, _) => Ok(answer(slice?, range.is_some())),
    }
}

fn answer(slice: Slice, is_part: bool) -> Answer {
    let Slice { object, start, length, reader } = slice;
    let answer = Answer { content: reader, length, ..Answer::empty(200) }
        .with("Content-Type", header_text(&object.description.content_type))
        .with("ETag", object.etag())
        .with("Accept-Ranges", "bytes")
        .with("X-Goog-Generation", object.version.generation.to_string())
        .with("X-Goog-Metageneration", object.version.metageneration.to_string())
        .with("X-Goog-Hash", object.hash_header())
        .with("X-Goog-Stored-Content-Encoding", "identity")
        .with("X-Goog-Stored-Content-Length", object.size.to_string())
        .with("X-Goog-Storage-Class", "STANDARD");
    let answer = with_kept_fields(answer, &object);
    match is_part {
        false => answer,
        true => {
            let range = format!("bytes {start}-{}/{}", start + length - 1, object.size);
            Answer { status: 206, ..answer.with("Content-Range", range) }
        }
    }
}

fn with_kept_fields(answer: Answer, object: &Object) -> Answer {
    let headers = [
        ("Cache-Control", "cacheControl"),
        ("Content-Disposition", "contentDisposition"),
        ("Content-Language", "contentLanguage"),
    ];
    headers.into_iter().fold(answer, |answer, (header, field)| {
        match object.description.fields.get(field).and_then(|value| value.as_str()) {
            Some(value) => answer.with(header, header_text(value)),
            None => answer,
        }
    })
}

/// What may stand in a header of what a client once sent in JSON.
fn header_text(value: &str) -> String {
    value.chars().filter(|c| c.is_ascii() && !c.is_ascii_control()).collect()
}

/// One range of bytes. Several, and what cannot be read, count as no range: the answer is the whole
/// object, as RFC 9110 allows.
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

    /// Start and length of what there is of the range; `None`: nothing.
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
    fn finds_what_there_is_of_a_range() {
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
    fn leaves_aside_what_is_no_single_range() {
        for header in
            ["", "bytes", "bytes=", "bytes=3-1", "bytes=0-1,4-5", "items=0-1", "bytes=a-b"]
        {
            assert_eq!(ByteRange::parse(header), None, "{header}");
        }
    }
}
