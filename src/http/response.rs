//! Responses, and their bytes on the wire.
//!
//! tiny_http's own `Response` is sent in several writes, and chunked when it is long. This one has a
//! length always, so that a client notices when it is cut short.

use std::fmt;
use std::io::Read;
use std::time::SystemTime;

use serde::Serialize;
use tiny_http::StatusCode;

pub(crate) const JSON: &str = "application/json";

/// One whole response.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: ResponseBody,
    headers: Vec<(&'static str, String)>,
}

/// Content of a response.
pub(crate) enum ResponseBody {
    Bytes(Vec<u8>),
    /// Content that is read while it is sent, of this many bytes.
    #[cfg_attr(not(feature = "emulator"), allow(dead_code))]
    Stream(Box<dyn Read + Send>, u64),
}

impl ResponseBody {
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Stream(_, length) => *length,
        }
    }

    /// Returns the bytes that are in memory: none of a stream.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Stream(..) => &[],
        }
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ResponseBody({} bytes)", self.len())
    }
}

impl Response {
    pub(crate) fn new(status: u16, content_type: &str, body: Vec<u8>) -> Self {
        Self::with_body(status, ResponseBody::Bytes(body)).with_header("Content-Type", content_type)
    }

    /// A response without a media type.
    pub(crate) fn with_body(status: u16, body: ResponseBody) -> Self {
        Self { status, body, headers: Vec::new() }
    }

    pub(crate) fn json(status: u16, body: &impl Serialize) -> Self {
        // Serializing fails only for maps whose keys are not strings; there are none here, and a
        // client that gets a response without a body still has its status.
        let text = serde_json::to_vec(body).unwrap_or_default();
        Self::new(status, JSON, text)
    }

    /// Adds a header. Only printable ASCII of `value` is sent, so it cannot begin another header.
    pub(crate) fn with_header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.chars().filter(|c| matches!(c, ' '..='~')).collect()));
        self
    }

    /// Appends the head to `to`, up to and including the empty line. `closes` announces that the
    /// connection ends after this response.
    pub(crate) fn write_head(&self, closes: bool, to: &mut Vec<u8>) {
        let mut append =
            |parts: &[&str]| parts.iter().for_each(|p| to.extend_from_slice(p.as_bytes()));
        let reason = StatusCode(self.status).default_reason_phrase();
        let date = httpdate::fmt_http_date(SystemTime::now());
        append(&["HTTP/1.1 ", &self.status.to_string(), " ", reason, "\r\nDate: ", &date, "\r\n"]);
        // RFC 9110, section 8.6.
        if !matches!(self.status, 204 | 304) {
            append(&["Content-Length: ", &self.body.len().to_string(), "\r\n"]);
        }
        for (name, value) in &self.headers {
            append(&[name, ": ", value, "\r\n"]);
        }
        append(&[if closes { "Connection: close\r\n\r\n" } else { "\r\n" }]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(response: &Response, closes: bool) -> String {
        let mut bytes = Vec::new();
        response.write_head(closes, &mut bytes);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn header_value_cannot_begin_another_header() {
        let response =
            Response::json(200, &()).with_header("X-Request-Id", "a\r\nSet-Cookie: b\u{85}");
        let head = head(&response, false);
        assert!(head.contains("\r\nX-Request-Id: aSet-Cookie: b\r\n\r\n"), "{head}");
    }

    #[test]
    fn response_without_content_has_no_length() {
        let empty = |status| Response::with_body(status, ResponseBody::Bytes(Vec::new()));
        assert!(!head(&empty(204), false).contains("Content-Length"));
        assert!(
            head(&empty(308), true).ends_with("Content-Length: 0\r\nConnection: close\r\n\r\n")
        );
    }
}
