//! The parts of a form, one after the other, as they come (`multipart/form-data`, RFC 7578; the
//! framing is that of RFC 2046, section 5.1.1).
//!
//! Nothing of a part is kept but what was read with it and not consumed yet. Everything that is not a
//! part's content has a bound.

use std::ops::Range;
use std::str;

use memchr::{memchr, memmem};

use crate::http::body_source::{Bytes, Fault};

/// The longest boundary (RFC 2046).
const MAX_BOUNDARY: usize = 70;

/// The most parts, files and fields alike.
pub(crate) const MAX_PARTS: usize = 100;

/// The longest head of a part, and the most headers in it.
const MAX_HEAD: usize = 8 << 10;
const MAX_HEADERS: usize = 16;

/// The most bytes of a part that nobody reads, and of what stands before the first one.
pub(crate) const MAX_SKIPPED: usize = 64 << 10;

/// The most bytes behind the last boundary.
const MAX_EPILOGUE: usize = 4 << 10;

/// What separates the parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Boundary(String);

impl Boundary {
    /// `None` if it is none.
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
    /// The values of all headers of this name.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        let named = self.0.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }
}

/// A form that comes in. Its [`Bytes`] are those of the part that [`next`](Self::next) has found.
pub(crate) struct Multipart<'a> {
    body: &'a mut dyn Bytes,
    delimiter: memmem::Finder<'static>,
    /// What has been read; from `start` on, it is not consumed.
    buffer: Vec<u8>,
    start: usize,
    /// How many bytes from there on are the part's for certain.
    certain: usize,
    /// What is behind them.
    behind: Behind,
    parts: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behind {
    Unknown,
    Delimiter,
    /// The boundary was whole, and the head of a part follows.
    Head,
    /// That was the last boundary.
    End,
}

impl<'a> Multipart<'a> {
    pub(crate) fn new(body: &'a mut dyn Bytes, boundary: &Boundary) -> Self {
        let delimiter = format!("\r\n--{}", boundary.0);
        Self {
            body,
            delimiter: memmem::Finder::new(delimiter.as_bytes()).into_owned(),
            // The first delimiter may have no line before it that it could end.
            buffer: b"\r\n".to_vec(),
            start: 0,
            certain: 0,
            behind: Behind::Unknown,
            parts: 0,
        }
    }

    /// The head of the next part; `None` behind the last one. What was not read of the one before is
    /// skipped, if it is not too long.
    pub(crate) fn next(&mut self) -> Result<Option<PartHead>, Fault> {
        self.skip()?;
        if self.behind == Behind::End {
            return Ok(None);
        }
        self.parts += 1;
        if self.parts > MAX_PARTS {
            return Err(malformed("the form has more than 100 parts"));
        }
        let head = self.head()?;
        self.behind = Behind::Unknown;
        Ok(Some(head))
    }

    /// Reads what stands behind the last boundary, and means nothing, if it is short.
    pub(crate) fn finish(self) -> Result<(), Fault> {
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

    fn skip(&mut self) -> Result<(), Fault> {
        let mut skipped = 0;
        loop {
            let count = self.fill()?.len();
            if count == 0 {
                return Ok(());
            }
            skipped += count;
            if skipped > MAX_SKIPPED {
                return Err(malformed("a field of the form that is no file is too long"));
            }
            self.consume(count);
        }
    }

    fn head(&mut self) -> Result<PartHead, Fault> {
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
            return Err(malformed("the headers of a part of the form make no sense"));
        };
        let own = |header: &httparse::Header<'_>| {
            Some((header.name.to_owned(), str::from_utf8(header.value).ok()?.to_owned()))
        };
        let headers = headers.iter().map(own).collect::<Option<_>>();
        headers.map(PartHead).ok_or_else(|| malformed("the headers of a part are not UTF-8"))
    }

    /// Reads a line, without its end, and consumes it; where it is in the buffer.
    fn line(&mut self, limit: usize) -> Result<Range<usize>, Fault> {
        let mut seen = 0;
        loop {
            let here = &self.buffer[self.start..];
            if let Some(at) = memchr(b'\n', &here[seen..]).map(|at| seen + at) {
                let line = here[..at].strip_suffix(b"\r").map(<[u8]>::len);
                let length = line.ok_or_else(|| malformed("a line of the form has no CR LF"))?;
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

    /// Finds out what of that which was read is the part's, or reads more.
    fn look(&mut self) -> Result<(), Fault> {
        let here = &self.buffer[self.start..];
        let undecided = self.delimiter.needle().len() - 1;
        match self.delimiter.find(here) {
            Some(at) => (self.certain, self.behind) = (at, Behind::Delimiter),
            None if here.len() > undecided => self.certain = here.len() - undecided,
            None => self.read_more()?,
        }
        Ok(())
    }

    /// Passes a delimiter. What follows it shows whether it is a boundary at all: a part that ends with
    /// something else is not whole.
    fn pass_boundary(&mut self) -> Result<(), Fault> {
        self.start += self.delimiter.needle().len();
        while self.buffer.len() - self.start < 2 {
            self.read_more()?;
        }
        if self.buffer[self.start..].starts_with(b"--") {
            self.behind = Behind::End;
            return Ok(());
        }
        let line = self.line(MAX_HEAD)?;
        self.behind = Behind::Head;
        match self.buffer[line].trim_ascii_end() {
            b"" => Ok(()),
            _ => Err(malformed("a boundary in the form is followed by something else")),
        }
    }

    fn read_more(&mut self) -> Result<(), Fault> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let come = self.body.fill()?;
        if come.is_empty() {
            return Err(malformed("the form ends before its last boundary"));
        }
        let count = come.len();
        self.buffer.extend_from_slice(come);
        self.body.consume(count);
        Ok(())
    }
}

const HEAD_TOO_LONG: &str = "the headers of a part of the form are too long";

fn malformed(what: &'static str) -> Fault {
    Fault::Malformed(what)
}

impl Bytes for Multipart<'_> {
    fn fill(&mut self) -> Result<&[u8], Fault> {
        while self.certain == 0 {
            match self.behind {
                Behind::Unknown => self.look()?,
                Behind::Delimiter => self.pass_boundary()?,
                Behind::Head | Behind::End => break,
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
    use crate::http::body_source::{Pieces, all_of};

    type Parts = Vec<(Vec<(String, String)>, Vec<u8>)>;

    fn parts_of(text: &[u8], boundary: &str, step: usize) -> Result<Parts, Fault> {
        let mut body = Pieces::new(text, step);
        let mut form = Multipart::new(&mut body, &Boundary::new(boundary).unwrap());
        let mut parts = Vec::new();
        while let Some(head) = form.next()? {
            parts.push((head.0, all_of(&mut form)?));
        }
        form.finish()?;
        Ok(parts)
    }

    fn read(text: &str) -> Result<Vec<(String, String)>, Fault> {
        let by_step = [1, 2, 7, 1000].map(|step| parts_of(text.as_bytes(), "b", step));
        assert!(by_step.iter().all(|parts| *parts == by_step[0]), "{text:?}: {by_step:?}");
        let show = |(head, data): &(Vec<(String, String)>, Vec<u8>)| {
            let head = head.iter().map(|(name, value)| format!("{name}={value}"));
            (head.collect::<Vec<_>>().join("|"), String::from_utf8(data.clone()).unwrap())
        };
        by_step.into_iter().next().unwrap().map(|parts| parts.iter().map(show).collect())
    }

    #[test]
    fn parts_are_found_whatever_they_hold() {
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
    fn several_come_one_after_the_other() {
        let text = "ignored\r\n--b\r\nN: 1\r\n\r\none\r\n--b  \r\nN: 2\r\n\r\n\r\n--b\r\nN: 3\r\n\r\nthree\
            \r\n--b--\r\nignored";
        let parts = [("N=1", "one"), ("N=2", ""), ("N=3", "three")];
        let own = |(head, data): (&str, &str)| (head.to_owned(), data.to_owned());
        assert_eq!(read(text), Ok(parts.map(own).to_vec()));
    }

    #[test]
    fn a_form_that_is_not_all_there_is_malformed() {
        let text = "--b\r\nA: x\r\n\r\ndata\r\n--b--\r\n";
        for length in 0..text.len() - 2 {
            let fault = read(&text[..length]).expect_err(text);
            assert!(matches!(fault, Fault::Malformed(_)), "{length}");
        }
    }

    #[test]
    fn a_part_is_whole_only_if_its_boundary_is() {
        for end in ["", "-", "b--", "x\r\n", "\n", "\r"] {
            let text = format!("--b\r\n\r\ndata\r\n--b{end}");
            let mut body = Pieces::new(text.as_bytes(), 3);
            let mut form = Multipart::new(&mut body, &Boundary::new("b").unwrap());
            assert!(form.next().unwrap().is_some());
            assert!(all_of(&mut form).is_err(), "{end:?}");
        }
    }

    #[test]
    fn what_is_no_form_is_malformed() {
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
            assert!(matches!(fault, Fault::Malformed(_)), "{text:?}: {fault}");
        }
        let fault = parts_of(b"--b\r\nA: \xff\r\n\r\n\r\n--b--", "b", 9).unwrap_err();
        assert!(matches!(fault, Fault::Malformed(_)), "{fault}");
    }

    #[test]
    fn a_part_that_nobody_reads_is_skipped_if_it_is_short() {
        for (length, short) in [(0, true), (MAX_SKIPPED, true), (MAX_SKIPPED + 1, false)] {
            let text = format!("--b\r\n\r\n{}\r\n--b\r\nA: x\r\n\r\n\r\n--b--", "x".repeat(length));
            let mut body = Pieces::new(text.as_bytes(), 1000);
            let mut form = Multipart::new(&mut body, &Boundary::new("b").unwrap());
            assert!(form.next().unwrap().is_some());
            match short {
                true => assert_eq!(form.next().unwrap().unwrap().values("a"), ["x"]),
                false => assert!(form.next().is_err()),
            }
        }
    }

    #[test]
    fn a_boundary_is_short_and_of_few_characters() {
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
        fn whatever_parts_hold_comes_out(
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
