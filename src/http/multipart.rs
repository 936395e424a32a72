//! Parts of a form, read one after the other as they arrive (`multipart/form-data`, RFC 7578; framing
//! of RFC 2046, section 5.1.1).
//!
//! Only the bytes that were read and not consumed yet are kept. Everything but the content of a part
//! has a bound.

use std::ops::Range;
use std::str;

use memchr::{memchr, memmem};

use crate::http::body_source::{BodyError, BodySource};

/// Characters of a boundary (RFC 2046, section 5.1.1).
const MAX_BOUNDARY: usize = 70;

/// Parts of a form, files and fields together.
pub(crate) const MAX_PARTS: usize = 100;

/// Bytes of the head of a part, and headers in it.
const MAX_HEAD: usize = 8 << 10;
const MAX_HEADERS: usize = 16;

/// Bytes of a part that is not read, and of the preamble.
pub(crate) const MAX_SKIPPED: usize = 64 << 10;

/// Bytes of the epilogue that are read.
const MAX_EPILOGUE: usize = 4 << 10;

/// Boundary between parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Boundary(String);

impl Boundary {
    /// Returns `None` if the text is not a valid boundary.
    pub(crate) fn new(text: &str) -> Option<Self> {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&b);
        let right = (1..=MAX_BOUNDARY).contains(&text.len())
            && text.bytes().all(legal)
            && !text.ends_with(' ');
        right.then(|| Self(text.to_owned()))
    }
}

/// The headers of a part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PartHead(Vec<(String, String)>);

impl PartHead {
    /// Returns the values of all headers with this name.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        let named = self.0.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }
}

/// Reader of a form. As a [`BodySource`] it has the content of the part that [`next`](Self::next)
/// returned.
pub(crate) struct Multipart<'a> {
    body: &'a mut dyn BodySource,
    delimiter: memmem::Finder<'static>,
    /// Bytes that were read; those from `start` on are not consumed.
    buffer: Vec<u8>,
    start: usize,
    /// Bytes from there on that certainly belong to the part.
    certain: usize,
    /// State of the form behind them.
    after: PartState,
    parts: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PartState {
    Unknown,
    Delimiter,
    /// A boundary was read, and the head of a part follows.
    Head,
    /// The last boundary was read.
    End,
}

impl<'a> Multipart<'a> {
    pub(crate) fn new(body: &'a mut dyn BodySource, boundary: &Boundary) -> Self {
        let delimiter = format!("\r\n--{}", boundary.0);
        Self {
            body,
            delimiter: memmem::Finder::new(delimiter.as_bytes()).into_owned(),
            // The first delimiter need not follow a line end.
            buffer: b"\r\n".to_vec(),
            start: 0,
            certain: 0,
            after: PartState::Unknown,
            parts: 0,
        }
    }

    /// Returns the head of the next part; `None` after the last one. Skips the rest of the current
    /// part, if it is not too long.
    pub(crate) fn next(&mut self) -> Result<Option<PartHead>, BodyError> {
        self.skip()?;
        if self.after == PartState::End {
            return Ok(None);
        }
        self.parts += 1;
        if self.parts > MAX_PARTS {
            return Err(malformed("the form has more than 100 parts"));
        }
        let head = self.head()?;
        self.after = PartState::Unknown;
        Ok(Some(head))
    }

    /// Reads the epilogue, which is ignored, if it is short.
    pub(crate) fn finish(self) -> Result<(), BodyError> {
        let mut read = 0;
        loop {
            let count = self.body.fill()?.len();
            read += count;
            if count == 0 || read > MAX_EPILOGUE {
                return Ok(());
            }
            self.body.consume(count);
        }
    }

    fn skip(&mut self) -> Result<(), BodyError> {
        let mut skipped = 0;
        loop {
            let count = self.fill()?.len();
            if count == 0 {
                return Ok(());
            }
            skipped += count;
            if skipped > MAX_SKIPPED {
                return Err(malformed("a form field that is not a file is too long"));
            }
            self.consume(count);
        }
    }

    fn head(&mut self) -> Result<PartHead, BodyError> {
        let mut head = Vec::new();
        loop {
            let line = self.line(MAX_HEAD - head.len())?;
            head.extend_from_slice(&self.buffer[line.clone()]);
            head.extend_from_slice(b"\r\n");
            if line.is_empty() {
                break;
            }
            if head.len() >= MAX_HEAD {
                return Err(malformed(HEAD_TOO_LONG));
            }
        }
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let parsed = httparse::parse_headers(&head, &mut headers);
        let Ok(httparse::Status::Complete((_, headers))) = parsed else {
            return Err(malformed("the headers of a part of the form are invalid"));
        };
        let own = |header: &httparse::Header<'_>| {
            Some((header.name.to_owned(), str::from_utf8(header.value).ok()?.to_owned()))
        };
        let headers = headers.iter().map(own).collect::<Option<_>>();
        headers.map(PartHead).ok_or_else(|| malformed("the headers of a part are not UTF-8"))
    }

    /// Reads and consumes a line. Returns its place in the buffer, without its end.
    fn line(&mut self, limit: usize) -> Result<Range<usize>, BodyError> {
        let mut seen = 0;
        loop {
            let here = &self.buffer[self.start..];
            if let Some(at) = memchr(b'\n', &here[seen..]).map(|at| seen + at) {
                let line = here[..at].strip_suffix(b"\r").map(<[u8]>::len);
                let length =
                    line.ok_or_else(|| malformed("a line of the form does not end with CR LF"))?;
                if length > limit {
                    return Err(malformed(HEAD_TOO_LONG));
                }
                let line = self.start..self.start + length;
                self.start += at + 1;
                return Ok(line);
            }
            seen = here.len();
            if seen > limit {
                return Err(malformed(HEAD_TOO_LONG));
            }
            self.read_more()?;
        }
    }

    /// Searches the buffer for the delimiter, or reads more.
    fn find_delimiter(&mut self) -> Result<(), BodyError> {
        let here = &self.buffer[self.start..];
        let undecided = self.delimiter.needle().len() - 1;
        match self.delimiter.find(here) {
            Some(at) => (self.certain, self.after) = (at, PartState::Delimiter),
            None if here.len() > undecided => self.certain = here.len() - undecided,
            None => self.read_more()?,
        }
        Ok(())
    }

    /// Consumes a delimiter. The bytes behind it tell whether it is a boundary: a part that ends with
    /// anything else is incomplete.
    fn consume_boundary(&mut self) -> Result<(), BodyError> {
        self.start += self.delimiter.needle().len();
        while self.buffer.len() - self.start < 2 {
            self.read_more()?;
        }
        if self.buffer[self.start..].starts_with(b"--") {
            self.after = PartState::End;
            return Ok(());
        }
        let line = self.line(MAX_HEAD)?;
        self.after = PartState::Head;
        match self.buffer[line].trim_ascii_end() {
            b"" => Ok(()),
            _ => Err(malformed("a boundary in the form is followed by something else")),
        }
    }

    fn read_more(&mut self) -> Result<(), BodyError> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let available = self.body.fill()?;
        if available.is_empty() {
            return Err(malformed("the form ends before its last boundary"));
        }
        let count = available.len();
        self.buffer.extend_from_slice(available);
        self.body.consume(count);
        Ok(())
    }
}

const HEAD_TOO_LONG: &str = "the headers of a part of the form are too long";

fn malformed(what: &'static str) -> BodyError {
    BodyError::Malformed(what)
}

impl BodySource for Multipart<'_> {
    fn fill(&mut self) -> Result<&[u8], BodyError> {
        while self.certain == 0 {
            match self.after {
                PartState::Unknown => self.find_delimiter()?,
                PartState::Delimiter => self.consume_boundary()?,
                PartState::Head | PartState::End => break,
            }
        }
        Ok(&self.buffer[self.start..self.start + self.certain])
    }

    fn consume(&mut self, count: usize) {
        self.start += count;
        self.certain -= count;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::http::body_source::{ChunkedSlice, read_to_end};

    type Parts = Vec<(Vec<(String, String)>, Vec<u8>)>;

    fn parts_of(text: &[u8], boundary: &str, step: usize) -> Result<Parts, BodyError> {
        let mut body = ChunkedSlice::new(text, step);
        let mut form = Multipart::new(&mut body, &Boundary::new(boundary).unwrap());
        let mut parts = Vec::new();
        while let Some(head) = form.next()? {
            parts.push((head.0, read_to_end(&mut form)?));
        }
        form.finish()?;
        Ok(parts)
    }

    fn read(text: &str) -> Result<Vec<(String, String)>, BodyError> {
        let by_step = [1, 2, 7, 1000].map(|step| parts_of(text.as_bytes(), "b", step));
        assert!(by_step.iter().all(|parts| *parts == by_step[0]), "{text:?}: {by_step:?}");
        let show = |(head, data): &(Vec<(String, String)>, Vec<u8>)| {
            let head = head.iter().map(|(name, value)| format!("{name}={value}"));
            (head.collect::<Vec<_>>().join("|"), String::from_utf8(data.clone()).unwrap())
        };
        by_step.into_iter().next().unwrap().map(|parts| parts.iter().map(show).collect())
    }

    #[test]
    fn part_is_found_whatever_it_contains() {
        assert_eq!(read("--b--"), Ok(vec![]));
        for (text, head, data) in [
            ("--b\r\n\r\n\r\n--b--", "", ""),
            ("--b\r\nA: x\r\nC: \r\n\r\ndata\r\n--b--\r\n", "A=x|C=", "data"),
            ("preamble\r\n--b \t\r\nA: x\r\n\r\ndata\r\n--b--epilogue", "A=x", "data"),
            (
                "--b\r\n\r\n\r\n-\r\n--\r\n--a\r\r\n\n--b\r\n--b--",
                "",
                "\r\n-\r\n--\r\n--a\r\r\n\n--b",
            ),
            ("--b\r\nA: ä\r\n\r\n--b\r\n--b--", "A=ä", "--b"),
        ] {
            assert_eq!(read(text), Ok(vec![(head.to_owned(), data.to_owned())]), "{text:?}");
        }
    }

    #[test]
    fn parts_are_read_in_order() {
        let text = "ignored\r\n--b\r\nN: 1\r\n\r\none\r\n--b  \r\nN: 2\r\n\r\n\r\n--b\r\nN: 3\r\n\r\nthree\
            \r\n--b--\r\nignored";
        let parts = [("N=1", "one"), ("N=2", ""), ("N=3", "three")];
        let own = |(head, data): (&str, &str)| (head.to_owned(), data.to_owned());
        assert_eq!(read(text), Ok(parts.map(own).to_vec()));
    }

    #[test]
    fn incomplete_form_is_malformed() {
        let text = "--b\r\nA: x\r\n\r\ndata\r\n--b--\r\n";
        for length in 0..text.len() - 2 {
            let fault = read(&text[..length]).expect_err(text);
            assert!(matches!(fault, BodyError::Malformed(_)), "{length}");
        }
    }

    #[test]
    fn part_is_complete_only_with_a_complete_boundary() {
        for end in ["", "-", "b--", "x\r\n", "\n", "\r"] {
            let text = format!("--b\r\n\r\ndata\r\n--b{end}");
            let mut body = ChunkedSlice::new(text.as_bytes(), 3);
            let mut form = Multipart::new(&mut body, &Boundary::new("b").unwrap());
            assert!(form.next().unwrap().is_some());
            assert!(read_to_end(&mut form).is_err(), "{end:?}");
        }
    }

    #[test]
    fn invalid_form_is_malformed() {
        let many = "--b\r\n\r\n\r\n".repeat(MAX_PARTS + 1) + "--b--";
        let long = format!("--b\r\nA: {}\r\n\r\n\r\n--b--", "x".repeat(MAX_HEAD));
        let headers = format!("--b\r\n{}\r\n\r\n--b--", "A: b\r\n".repeat(MAX_HEADERS + 1));
        for text in [
            "",
            "data",
            "--c\r\n\r\n\r\n--c--",
            "--bb\r\n\r\n\r\n--bb--",
            "--b\r\nA: x\r\n\r\n\r\n--bb--",
            "--b\n\n\n--b--",
            "--b\r\nA: x\n\r\n\r\n--b--",
            "--b\r\nA x\r\n\r\n\r\n--b--",
            "--b\r\n A: x\r\n\r\n\r\n--b--",
            "--b\r\nA: \0\r\n\r\n\r\n--b--",
            &many,
            &long,
            &headers,
        ] {
            let fault = read(text).expect_err(text);
            assert!(matches!(fault, BodyError::Malformed(_)), "{text:?}: {fault}");
        }
        let fault = parts_of(b"--b\r\nA: \xff\r\n\r\n\r\n--b--", "b", 9).unwrap_err();
        assert!(matches!(fault, BodyError::Malformed(_)), "{fault}");
    }

    #[test]
    fn unread_part_is_skipped_if_it_is_short() {
        for (length, short) in [(0, true), (MAX_SKIPPED, true), (MAX_SKIPPED + 1, false)] {
            let text = format!("--b\r\n\r\n{}\r\n--b\r\nA: x\r\n\r\n\r\n--b--", "x".repeat(length));
            let mut body = ChunkedSlice::new(text.as_bytes(), 1000);
            let mut form = Multipart::new(&mut body, &Boundary::new("b").unwrap());
            assert!(form.next().unwrap().is_some());
            if short {
                assert_eq!(form.next().unwrap().unwrap().values("a"), ["x"]);
            } else {
                assert!(form.next().is_err());
            }
        }
    }

    #[test]
    fn boundary_has_limited_length_and_characters() {
        for text in
            ["b", "----WebKitFormBoundary7MA4YWxkTrZu0gW", "'()+_,-./:=? x", &"b".repeat(70)]
        {
            assert!(Boundary::new(text).is_some(), "{text}");
        }
        for text in ["", "a ", "a\r\n", "ä", "a\"", &"b".repeat(71)] {
            assert!(Boundary::new(text).is_none(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn content_of_parts_is_preserved(
            contents in prop::collection::vec(prop::collection::vec(
                prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'-'), any::<u8>()], 0..60), 0..5),
            step in 1..50_usize,
        ) {
            let boundary = "a-boundary-that-no-chance-hits";
            let part = |data: &Vec<u8>| {
                [b"--", boundary.as_bytes(), b"\r\nN: v\r\n\r\n", data, b"\r\n"].concat()
            };
            let mut text = contents.iter().map(part).collect::<Vec<_>>().concat();
            text.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
            let parts = parts_of(&text, boundary, step).unwrap();
            let read: Vec<_> = parts.into_iter().map(|(_, data)| data).collect();
            prop_assert_eq!(read, contents);
        }
    }
}
