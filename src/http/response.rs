//! Answers, and the bytes that they become.
//!
//! tiny_http's own `Response` goes out in several writes, and chunked when it is long: so the head is
//! written here.

use std::time::SystemTime;

use serde::Serialize;
use tiny_http::StatusCode;

pub(crate) const JSON: &str = "application/json";

/// One whole answer. Every one carries its length: none is ever cut short unnoticed.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    headers: Vec<(&'static str, String)>,
}

impl Answer {
    pub(crate) fn new(status: u16, content_type: &str, body: Vec<u8>) -> Self {
        let headers = vec![("Content-Type", content_type.to_owned())];
        Self { status, body, headers }
    }

    pub(crate) fn json(status: u16, body: &impl Serialize) -> Self {
        // Serializing fails for maps with keys that are no strings; there are none here, and a
        // client that gets an answer without a body still has its status.
        let text = serde_json::to_vec(body).unwrap_or_default();
        Self::new(status, JSON, text)
    }

    /// Adds a header. Of `value`, only printable ASCII is sent: it cannot begin another header.
    pub(crate) fn with_header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.chars().filter(|c| matches!(c, ' '..='~')).collect()));
        self
    }

    /// The head, up to and with the empty line.
    pub(crate) fn head(&self) -> Vec<u8> {
        let reason = StatusCode(self.status).default_reason_phrase();
        let date = httpdate::fmt_http_date(SystemTime::now());
        let head = format!(
            "HTTP/1.1 {} {reason}\r\nDate: {date}\r\nContent-Length: {}\r\n\
            Cache-Control: no-store\r\n",
            self.status,
            self.body.len()
        );
        let lines = self.headers.iter();
        let mut head = lines.fold(head, |head, (name, value)| head + name + ": " + value + "\r\n");
        head.push_str("\r\n");
        head.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_cannot_begin_another_one() {
        let answer = Answer::json(200, &()).with_header("X-Request-Id", "a\r\nSet-Cookie: b\u{85}");
        let head = String::from_utf8(answer.head()).unwrap();
        assert!(head.contains("\r\nX-Request-Id: aSet-Cookie: b\r\n\r\n"), "{head}");
    }
}
