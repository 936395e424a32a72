//! The chunked coding of a body (RFC 9112, section 7.1).
//!
//! Strict on purpose, as `head` is: where a body ends is what smuggled requests lie about. A size is
//! hexadecimal digits alone, a line ends with CR LF, and chunk extensions and trailers, which mean
//! nothing here, have bounds.

use crate::http::body_source::{Bytes, Fault};

/// The longest line: a chunk's size with its extensions, or a trailer.
const MAX_LINE: usize = 1 << 10;

/// The most bytes of extensions in a body.
const MAX_EXTENSIONS: usize = 16 << 10;

/// The most bytes of trailers.
const MAX_TRAILERS: usize = 8 << 10;

/// The most digits of a size: with them, it fits into 64 bits.
const MAX_DIGITS: usize = 16;

/// What is behind the coding.
#[derive(Debug, Default)]
pub(crate) struct Chunked {
    next: Next,
    line: Vec<u8>,
    extensions: usize,
    trailers: usize,
}

/// What comes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Next {
    #[default]
    Size,
    Data(u64),
    /// The line end behind a chunk.
    DataEnd,
    Trailer,
    End,
}

impl Chunked {
    /// Whether the body has come to its end.
    pub(crate) fn is_at_end(&self) -> bool {
        self.next == Next::End
    }

    /// As [`Bytes::fill`], of what is behind the coding of `coded`.
    pub(crate) fn fill<'a>(&mut self, coded: &'a mut dyn Bytes) -> Result<&'a [u8], Fault> {
        loop {
            match self.next {
                Next::Size => {
                    self.read_line(coded)?;
                    self.next = match self.size()? {
                        0 => Next::Trailer,
                        size => Next::Data(size),
                    };
                }
                Next::Data(left) => {
                    let come = coded.fill()?;
                    if come.is_empty() {
                        return Err(malformed("the chunked body ends too early"));
                    }
                    let here = usize::try_from(left).unwrap_or(usize::MAX).min(come.len());
                    return Ok(&come[..here]);
                }
                Next::DataEnd => {
                    self.read_line(coded)?;
                    if !self.line.is_empty() {
                        return Err(malformed("a chunk is longer than its size"));
                    }
                    self.next = Next::Size;
                }
                Next::Trailer => {
                    self.read_line(coded)?;
                    self.trailers += self.line.len();
                    if self.trailers > MAX_TRAILERS {
                        return Err(malformed("the trailers of the chunked body are too long"));
                    }
                    if self.line.is_empty() {
                        self.next = Next::End;
                    }
                }
                Next::End => return Ok(&[]),
            }
        }
    }

    /// As [`Bytes::consume`].
    pub(crate) fn consume(&mut self, coded: &mut dyn Bytes, count: usize) {
        if let Next::Data(left) = self.next {
            coded.consume(count);
            self.next = match left - count as u64 {
                0 => Next::DataEnd,
                left => Next::Data(left),
            };
        }
    }

    /// Reads a line, and leaves it in `line` without its end.
    fn read_line(&mut self, coded: &mut dyn Bytes) -> Result<(), Fault> {
        self.line.clear();
        loop {
            let come = coded.fill()?;
            if come.is_empty() {
                return Err(malformed("the chunked body ends too early"));
            }
            let end = memchr::memchr(b'\n', come);
            let count = end.map_or(come.len(), |at| at + 1);
            if self.line.len() + count > MAX_LINE {
                return Err(malformed("a line of the chunked body is too long"));
            }
            self.line.extend_from_slice(&come[..count]);
            coded.consume(count);
            if end.is_some() {
                let line = self.line.strip_suffix(b"\r\n").map(<[u8]>::len);
                self.line.truncate(line.ok_or_else(|| malformed(NO_LINE_END))?);
                return match self.line.iter().all(|b| matches!(b, b'\t' | b' '..=b'~')) {
                    true => Ok(()),
                    false => Err(malformed("a line of the chunked body is no printable ASCII")),
                };
            }
        }
    }

    /// The size of a chunk, as the line states it.
    fn size(&mut self) -> Result<u64, Fault> {
        let digits = self.line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
        let (size, extensions) = self.line.split_at(digits);
        if !matches!(extensions.first(), None | Some(b';')) || !(1..=MAX_DIGITS).contains(&digits) {
            return Err(malformed("a chunk's size is no hexadecimal number"));
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

fn malformed(what: &'static str) -> Fault {
    Fault::Malformed(what)
}

/// A body behind its coding, as one; for tests.
#[cfg(any(test, fuzzing))]
pub(crate) struct Decoded<'a, 'b>(
    pub(crate) Chunked,
    pub(crate) &'a mut crate::http::body_source::Pieces<'b>,
);

#[cfg(any(test, fuzzing))]
impl Bytes for Decoded<'_, '_> {
    fn fill(&mut self) -> Result<&[u8], Fault> {
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
    use crate::http::body_source::{Pieces, all_of};

    /// What is behind the coding, and what comes after its end.
    fn decoded(text: &[u8], step: usize) -> Result<(Vec<u8>, &[u8]), Fault> {
        let mut pieces = Pieces::on_a_connection(text, step);
        let all = all_of(&mut Decoded(Chunked::default(), &mut pieces))?;
        Ok((all, pieces.rest()))
    }

    #[test]
    fn chunks_are_put_together_and_what_follows_stays() {
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
    fn anything_else_is_malformed() {
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
            assert!(matches!(fault, Fault::Malformed(_)), "{text:?}: {fault}");
        }
    }

    #[test]
    fn a_body_that_is_not_all_there_has_no_end() {
        let text = b"5;a=b\r\nhello\r\n0\r\nA: b\r\n\r\n";
        for length in 0..text.len() {
            assert_eq!(decoded(&text[..length], 4), Err(Fault::Gone), "{length}");
        }
    }

    #[test]
    fn a_size_is_no_reason_to_reserve_memory() {
        assert_eq!(decoded(b"ffffffffffffffff\r\nx", 9), Err(Fault::Gone));
    }

    proptest! {
        #[test]
        fn whatever_is_cut_into_chunks_comes_out(
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
