//! The chunked coding of a body (RFC 9112, section 7.1).
//!
//! Strict on purpose, as `request_head` is: request smuggling depends on two views of where a body ends.
//! No crate is used, because those in reach accept white space and signs in a size, or have no bounds.
//! A size consists of hexadecimal digits only, a line ends with CR LF, and chunk extensions and
//! trailers, which are ignored, have bounds.

use crate::http::body_source::{BodyError, BodySource};

/// Bytes of a line: a chunk's size with its extensions, or a trailer.
const MAX_LINE: usize = 1 << 10;

/// Bytes of all extensions in a body.
const MAX_EXTENSIONS: usize = 16 << 10;

/// Bytes of all trailers.
const MAX_TRAILERS: usize = 8 << 10;

/// Digits of a size, so that it fits into 64 bits.
const MAX_DIGITS: usize = 16;

/// Decoder of a chunked body.
#[derive(Debug, Default)]
pub(crate) struct ChunkedDecoder {
    next: Element,
    line: Vec<u8>,
    extensions: usize,
    trailers: usize,
}

/// Next element of the coding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Element {
    #[default]
    Size,
    Data(u64),
    /// Line end behind the data of a chunk.
    DataEnd,
    Trailer,
    End,
}

impl ChunkedDecoder {
    /// Returns whether the end of the body was read.
    pub(crate) fn is_at_end(&self) -> bool {
        self.next == Element::End
    }

    /// [`BodySource::fill`] of the content that is coded in `coded`.
    pub(crate) fn fill<'a>(
        &mut self,
        coded: &'a mut dyn BodySource,
    ) -> Result<&'a [u8], BodyError> {
        loop {
            match self.next {
                Element::Size => {
                    self.read_line(coded)?;
                    self.next = match self.size()? {
                        0 => Element::Trailer,
                        size => Element::Data(size),
                    };
                }
                Element::Data(left) => {
                    let available = coded.fill()?;
                    if available.is_empty() {
                        return Err(malformed("the chunked body ends too early"));
                    }
                    let here = usize::try_from(left).unwrap_or(usize::MAX).min(available.len());
                    return Ok(&available[..here]);
                }
                Element::DataEnd => {
                    self.read_line(coded)?;
                    if !self.line.is_empty() {
                        return Err(malformed("a chunk is longer than its size"));
                    }
                    self.next = Element::Size;
                }
                Element::Trailer => {
                    self.read_line(coded)?;
                    self.trailers += self.line.len();
                    if self.trailers > MAX_TRAILERS {
                        return Err(malformed("the trailers of the chunked body are too long"));
                    }
                    if self.line.is_empty() {
                        self.next = Element::End;
                    }
                }
                Element::End => return Ok(&[]),
            }
        }
    }

    /// [`BodySource::consume`].
    pub(crate) fn consume(&mut self, coded: &mut dyn BodySource, count: usize) {
        if let Element::Data(left) = self.next {
            coded.consume(count);
            self.next = match left - count as u64 {
                0 => Element::DataEnd,
                left => Element::Data(left),
            };
        }
    }

    /// Reads a line into `line`, without its end.
    fn read_line(&mut self, coded: &mut dyn BodySource) -> Result<(), BodyError> {
        self.line.clear();
        loop {
            let available = coded.fill()?;
            if available.is_empty() {
                return Err(malformed("the chunked body ends too early"));
            }
            let end = memchr::memchr(b'\n', available);
            let count = end.map_or(available.len(), |at| at + 1);
            if self.line.len() + count > MAX_LINE {
                return Err(malformed("a line of the chunked body is too long"));
            }
            self.line.extend_from_slice(&available[..count]);
            coded.consume(count);
            if end.is_some() {
                let line = self.line.strip_suffix(b"\r\n").map(<[u8]>::len);
                self.line.truncate(line.ok_or_else(|| malformed(NO_LINE_END))?);
                if !self.line.iter().all(|b| matches!(b, b'\t' | b' '..=b'~')) {
                    return Err(malformed("a line of the chunked body is not printable ASCII"));
                }
                return Ok(());
            }
        }
    }

    /// Returns the size of a chunk that the line states.
    fn size(&mut self) -> Result<u64, BodyError> {
        let digits = self.line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
        let (size, extensions) = self.line.split_at(digits);
        if !matches!(extensions.first(), None | Some(b';')) || !(1..=MAX_DIGITS).contains(&digits) {
            return Err(malformed("a chunk's size is not a hexadecimal number"));
        }
        self.extensions += extensions.len();
        if self.extensions > MAX_EXTENSIONS {
            return Err(malformed("the extensions of the chunks are too long"));
        }
        let digit = |b: &u8| char::from(*b).to_digit(16).map_or(0, u64::from);
        Ok(size.iter().map(digit).fold(0, |size, digit| size << 4 | digit))
    }
}

const NO_LINE_END: &str = "a line of the chunked body does not end with CR LF";

fn malformed(what: &'static str) -> BodyError {
    BodyError::Malformed(what)
}

/// Chunked body in memory; for tests.
#[cfg(any(test, fuzzing))]
pub(crate) struct Decoded<'a, 'b>(
    pub(crate) ChunkedDecoder,
    pub(crate) &'a mut crate::http::body_source::ChunkedSlice<'b>,
);

#[cfg(any(test, fuzzing))]
impl BodySource for Decoded<'_, '_> {
    fn fill(&mut self) -> Result<&[u8], BodyError> {
        self.0.fill(self.1)
    }

    fn consume(&mut self, count: usize) {
        self.0.consume(self.1, count);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::http::body_source::{ChunkedSlice, read_to_end};

    /// What is behind the coding, and what comes after its end.
    fn decoded(text: &[u8], step: usize) -> Result<(Vec<u8>, &[u8]), BodyError> {
        let mut pieces = ChunkedSlice::on_connection(text, step);
        let all = read_to_end(&mut Decoded(ChunkedDecoder::default(), &mut pieces))?;
        Ok((all, pieces.rest()))
    }

    #[test]
    fn chunks_are_joined_and_following_bytes_are_left() {
        for (text, data, rest) in [
            ("0\r\n\r\n", "", ""),
            ("5\r\nhello\r\n0\r\n\r\nGET", "hello", "GET"),
            ("1\r\na\r\n00000000000000B\r\nbcdefghijkl\r\n000\r\n\r\n", "abcdefghijkl", ""),
            ("3;a=b;c=\"d\"\r\nx\r\n\r\n0;z\r\nA: b\r\nC: d\r\n\r\n\r\n", "x\r\n", "\r\n"),
        ] {
            for step in [1, 2, 3, 100] {
                let wanted = Ok((data.as_bytes().to_vec(), rest.as_bytes()));
                assert_eq!(decoded(text.as_bytes(), step), wanted, "{text:?} {step}");
            }
        }
    }

    #[test]
    fn invalid_chunked_body_is_malformed() {
        let endless_line = "a".repeat(MAX_LINE + 1);
        let long_extension = format!("1;{}\r\nx\r\n", "e".repeat(1000)).repeat(17);
        let long_trailers = format!("0\r\n{}\r\n", "A: b\r\n".repeat(5000));
        for text in [
            "\r\n",
            " 5\r\nhello\r\n0\r\n\r\n",
            "5 \r\nhello\r\n0\r\n\r\n",
            "5 ;a\r\nhello\r\n0\r\n\r\n",
            "+5\r\nhello\r\n0\r\n\r\n",
            "-1\r\nx",
            "0x5\r\nhello\r\n",
            "5\nhello\r\n0\r\n\r\n",
            "5\rhello\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "5\r\nhello!\r\n0\r\n\r\n",
            "5\r\nhell\r\n0\r\n\r\n",
            "zz\r\n",
            ";a\r\n",
            "10000000000000000\r\nx",
            "00000000000000001\r\nx\r\n0\r\n\r\n",
            "1;\u{7f}\r\nx\r\n0\r\n\r\n",
            "0\r\nA: b\n\r\n",
            "0\r\nA: \u{1}\r\n\r\n",
            &endless_line,
            &long_extension,
            &long_trailers,
        ] {
            let fault = decoded(text.as_bytes(), 7).expect_err(text);
            assert!(matches!(fault, BodyError::Malformed(_)), "{text:?}: {fault}");
        }
    }

    #[test]
    fn incomplete_chunked_body_has_no_end() {
        let text = b"5;a=b\r\nhello\r\n0\r\nA: b\r\n\r\n";
        for length in 0..text.len() {
            assert_eq!(decoded(&text[..length], 4), Err(BodyError::Disconnected), "{length}");
        }
    }

    #[test]
    fn chunk_size_reserves_no_memory() {
        assert_eq!(decoded(b"ffffffffffffffff\r\nx", 9), Err(BodyError::Disconnected));
    }

    proptest! {
        #[test]
        fn content_survives_chunking(
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..50), 0..9),
            step in 1..40_usize,
        ) {
            let chunk = |part: &Vec<u8>| {
                [format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat()
            };
            let mut text = parts.iter().map(chunk).collect::<Vec<_>>().concat();
            text.extend_from_slice(b"0\r\n\r\n");
            prop_assert_eq!(decoded(&text, step), Ok((parts.concat(), &b""[..])));
        }
    }
}
