//! Streaming parser of `multipart/related` bodies (RFC 2046, RFC 2387).

use serde_json::Value;

use crate::emulator::error::ApiError;
use crate::emulator::http::{BUFFER_SIZE, RequestBody, RequestError, parse_json};

/// The longest header block and the longest metadata part, in bytes.
const MAX_PART_SIZE: usize = 1 << 20;

/// Reads the two parts of a body. Call [`metadata`](Self::metadata), then
/// [`content_type`](Self::content_type), then [`content`](Self::content).
pub(super) struct Multipart<'a, 'b> {
    body: &'a mut RequestBody<'b>,
    /// The end of a part: a line break, two dashes, the boundary.
    delimiter: Vec<u8>,
    /// Bytes that were read from the body but not returned yet.
    buffer: Vec<u8>,
    body_ended: bool,
    content_ended: bool,
}

/// Returns the boundary parameter of a Content-Type.
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
    pub(super) fn new(body: &'a mut RequestBody<'b>, boundary: &str) -> Self {
        Self {
            body,
            delimiter: format!("\r\n--{boundary}").into_bytes(),
            // The first delimiter may come without a line break before it.
            buffer: b"\r\n".to_vec(),
            body_ended: false,
            content_ended: false,
        }
    }

    /// Reads the first part as JSON.
    pub(super) fn metadata(&mut self) -> Result<Value, RequestError> {
        let delimiter = self.delimiter.clone();
        self.read_until(&delimiter)?;
        self.headers()?;
        let text = self.read_until(&delimiter)?;
        Ok(parse_json(&text)?)
    }

    /// Reads the headers of the second part, and returns its Content-Type.
    pub(super) fn content_type(&mut self) -> Result<Option<String>, RequestError> {
        let headers = self.headers()?;
        let content_type = headers
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("Content-Type"))
            .map(|(_, value)| value.trim().to_owned());
        Ok(content_type)
    }

    /// Reads the next bytes of the second part; `None` at its end.
    pub(super) fn content(&mut self) -> Result<Option<Vec<u8>>, RequestError> {
        if self.content_ended {
            return Ok(None);
        }
        self.fill(BUFFER_SIZE + self.delimiter.len() - 1)?;
        if let Some(end) = find(&self.buffer, &self.delimiter) {
            self.content_ended = true;
            let mut rest = self.buffer.split_off(end);
            rest.drain(..self.delimiter.len());
            let content = std::mem::replace(&mut self.buffer, rest);
            self.fill(2)?;
            if !self.buffer.starts_with(b"--") {
                return Err(malformed("has more than two parts").into());
            }
            return Ok(Some(content));
        }
        if self.body_ended {
            return Err(malformed("ends before its last boundary").into());
        }
        // The end of the buffer may be the beginning of a delimiter.
        let tail = self.buffer.split_off(self.buffer.len() - (self.delimiter.len() - 1));
        Ok(Some(std::mem::replace(&mut self.buffer, tail)))
    }

    /// Reads a part's headers and the blank line after them.
    fn headers(&mut self) -> Result<String, RequestError> {
        let headers = self.read_until(b"\r\n\r\n")?;
        String::from_utf8(headers).map_err(|_| malformed("has headers that are not UTF-8").into())
    }

    /// Reads up to and including `pattern`; returns the bytes before it.
    fn read_until(&mut self, pattern: &[u8]) -> Result<Vec<u8>, RequestError> {
        self.fill(pattern.len())?;
        loop {
            if let Some(end) = find(&self.buffer, pattern) {
                let mut found = self.buffer.split_off(end);
                std::mem::swap(&mut found, &mut self.buffer);
                self.buffer.drain(..pattern.len());
                return Ok(found);
            }
            if self.body_ended {
                return Err(malformed("has fewer than two parts").into());
            }
            if self.buffer.len() > MAX_PART_SIZE {
                return Err(malformed("has a part that is too long").into());
            }
            self.fill(self.buffer.len() + (BUFFER_SIZE / 4))?;
        }
    }

    /// Reads until the buffer has `size` bytes or the body has ended.
    fn fill(&mut self, size: usize) -> Result<(), RequestError> {
        if self.buffer.len() < size && !self.body_ended {
            self.body.fill(&mut self.buffer, size)?;
            self.body_ended = self.buffer.len() < size;
        }
        Ok(())
    }
}

fn malformed(what: &str) -> ApiError {
    ApiError::invalid(format!("The multipart body {what}."))
}

/// Returns the offset of the first occurrence of `pattern`.
fn find(text: &[u8], pattern: &[u8]) -> Option<usize> {
    let (first, rest) = pattern.split_first()?;
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
    fn boundary_is_found_in_every_valid_spelling() {
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
    fn pattern_is_found_at_any_offset() {
        assert_eq!(find(b"", b"ab"), None);
        assert_eq!(find(b"a", b"ab"), None);
        assert_eq!(find(b"aab", b"ab"), Some(1));
        assert_eq!(find(b"abab", b"ab"), Some(0));
        assert_eq!(find(b"xxab", b"ab"), Some(2));
    }
}
