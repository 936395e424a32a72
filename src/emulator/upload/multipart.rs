//! `multipart/related` bodies, as they come (RFC 2046, RFC 2387).

use serde_json::Value;

use crate::emulator::error::ApiError;
use crate::emulator::http::{BUFFER, Body, Failure, parse_json};

/// The longest header block, and the longest metadata part, of a body.
const MAX_PART: usize = 1 << 20;

/// Reads the two parts of a body in their order: metadata, content type, content.
pub(super) struct Multipart<'a, 'b> {
    body: &'a mut Body<'b>,
    /// What ends a part: a line break, two dashes, the boundary.
    delimiter: Vec<u8>,
    /// Bytes that have come and not been given out.
    held: Vec<u8>,
    body_ended: bool,
    content_ended: bool,
}

/// The boundary that a Content-Type states.
pub(super) fn boundary(content_type: &str) -> Result<String, ApiError> {
    let mut parameters = content_type.split(';').map(str::trim);
    let is_multipart =
        parameters.next().is_some_and(|kind| kind.to_ascii_lowercase().starts_with("multipart/"));
    let boundary = parameters
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(name, _)| name.eq_ignore_ascii_case("boundary"))
        .map(|(_, boundary)| boundary.trim_matches(['"', '\'']));
    match boundary {
        Some(boundary) if is_multipart && (1..=70).contains(&boundary.len()) => {
            Ok(boundary.to_owned())
        }
        _ => Err(ApiError::invalid(
            "A multipart upload needs Content-Type: multipart/related; boundary=….",
        )),
    }
}

impl<'a, 'b> Multipart<'a, 'b> {
    pub(super) fn new(body: &'a mut Body<'b>, boundary: &str) -> Self {
        Self {
            body,
            delimiter: format!("\r\n--{boundary}").into_bytes(),
            // The first delimiter need not have a line break before it.
            held: b"\r\n".to_vec(),
            body_ended: false,
            content_ended: false,
        }
    }

    /// The first part, in JSON.
    pub(super) fn metadata(&mut self) -> Result<Value, Failure> {
        let delimiter = self.delimiter.clone();
        self.up_to(&delimiter)?;
        self.headers()?;
        let text = self.up_to(&delimiter)?;
        Ok(parse_json(&text)?)
    }

    /// The Content-Type of the second part.
    pub(super) fn content_type(&mut self) -> Result<Option<String>, Failure> {
        let headers = self.headers()?;
        let content_type = headers
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("Content-Type"))
            .map(|(_, value)| value.trim().to_owned());
        Ok(content_type)
    }

    /// The next bytes of the second part; `None` at its end.
    pub(super) fn content(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        if self.content_ended {
            return Ok(None);
        }
        self.hold(BUFFER + self.delimiter.len() - 1)?;
        if let Some(end) = find(&self.held, &self.delimiter) {
            self.content_ended = true;
            let mut rest = self.held.split_off(end);
            rest.drain(..self.delimiter.len());
            let content = std::mem::replace(&mut self.held, rest);
            self.hold(2)?;
            if !self.held.starts_with(b"--") {
                return Err(malformed("has more than two parts").into());
            }
            return Ok(Some(content));
        }
        if self.body_ended {
            return Err(malformed("ends before its last boundary").into());
        }
        // The end of what is held may be the beginning of a delimiter.
        let tail = self.held.split_off(self.held.len() - (self.delimiter.len() - 1));
        Ok(Some(std::mem::replace(&mut self.held, tail)))
    }

    /// What stands before the blank line that ends a part's headers.
    fn headers(&mut self) -> Result<String, Failure> {
        let headers = self.up_to(b"\r\n\r\n")?;
        String::from_utf8(headers).map_err(|_| malformed("has headers that are not UTF-8").into())
    }

    fn up_to(&mut self, mark: &[u8]) -> Result<Vec<u8>, Failure> {
        self.hold(mark.len())?;
        loop {
            if let Some(end) = find(&self.held, mark) {
                let mut found = self.held.split_off(end);
                std::mem::swap(&mut found, &mut self.held);
                self.held.drain(..mark.len());
                return Ok(found);
            }
            if self.body_ended {
                return Err(malformed("has not got two parts").into());
            }
            if self.held.len() > MAX_PART {
                return Err(malformed("has a part that is too long").into());
            }
            self.hold(self.held.len() + (BUFFER / 4))?;
        }
    }

    /// Reads until so many bytes are held, or the body has ended.
    fn hold(&mut self, size: usize) -> Result<(), Failure> {
        if self.held.len() < size && !self.body_ended {
            self.body.fill(&mut self.held, size)?;
            self.body_ended = self.held.len() < size;
        }
        Ok(())
    }
}

fn malformed(what: &str) -> ApiError {
    ApiError::invalid(format!("The multipart body {what}."))
}

fn find(text: &[u8], mark: &[u8]) -> Option<usize> {
    let (first, rest) = mark.split_first()?;
    let mut from = 0;
    while let Some(found) = text[from..].iter().position(|byte| byte == first) {
        let at = from + found;
        if text[at + 1..].starts_with(rest) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_boundary_in_any_spelling() {
        for content_type in [
            "multipart/related; boundary=abc",
            "multipart/related; boundary=\"abc\"",
            "Multipart/Related;charset=utf-8;Boundary='abc'",
        ] {
            assert_eq!(boundary(content_type).unwrap(), "abc", "{content_type}");
        }
        let without = "multipart/related; boundary=";
        for content_type in ["", "text/plain; boundary=abc", "multipart/related", without] {
            assert_eq!(boundary(content_type).expect_err(content_type).status, 400);
        }
    }

    #[test]
    fn finds_a_mark_wherever_it_begins() {
        assert_eq!(find(b"", b"ab"), None);
        assert_eq!(find(b"a", b"ab"), None);
        assert_eq!(find(b"aab", b"ab"), Some(1));
        assert_eq!(find(b"abab", b"ab"), Some(0));
        assert_eq!(find(b"xxab", b"ab"), Some(2));
    }
}
