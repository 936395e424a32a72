//! Request head, request body and response. Knows nothing about buckets and objects.

use std::io::{self, Read};
use std::time::Duration;

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};
use tiny_http::Method;
use url::form_urlencoded;

use super::error::ApiError;
use super::faults::Break;
use super::shutdown::ShutdownSignal;
use crate::http::body::Body;
use crate::http::body_source::BodySource;
use crate::http::request::Request;
use crate::http::response::{Response, ResponseBody};

/// The size of a read. Also the step in which Cloud Storage persists an upload, so that a full
/// buffer is a whole step.
pub(super) const BUFFER_SIZE: usize = 256 << 10;

/// The largest JSON body, in bytes.
const MAX_JSON_SIZE: usize = 1 << 20;

/// The parameters of a query string.
#[derive(Clone, Debug, Default)]
pub(super) struct QueryParams(Vec<(String, String)>);

impl QueryParams {
    pub(super) fn parse(text: &str) -> Self {
        Self(form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Returns an optional parameter that must be a whole number.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, ApiError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| digits).map(Some).ok_or_else(|| {
            ApiError::invalid(format!("Invalid value for {name}: it must be a whole number."))
        })
    }
}

/// A request without its body.
#[derive(Clone, Debug)]
pub(super) struct RequestHead {
    pub(super) method: Method,
    /// The path's segments, percent-decoded. A path that is not UTF-8 is rejected.
    pub(super) path: Vec<String>,
    pub(super) query: QueryParams,
    /// Host and port as the client knows them.
    pub(super) authority: String,
    headers: Vec<(String, String)>,
}

impl RequestHead {
    /// Parses a head. `own_authority` replaces a Host header that is missing or malformed.
    pub(super) fn from_request(request: &Request, own_authority: &str) -> Result<Self, ApiError> {
        let target = request.target.as_str();
        let target = match target.strip_prefix("http://") {
            Some(absolute) => absolute.find('/').map_or("/", |slash| &absolute[slash..]),
            None => target,
        };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let path = path
            .trim_start_matches('/')
            .split('/')
            .map(|segment| percent_decode_str(segment).decode_utf8().map(|text| text.into_owned()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| ApiError::invalid("The path is not percent-encoded UTF-8."))?;
        let headers =
            request.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let head = Self {
            method: request.method.clone(),
            path,
            query: QueryParams::parse(query),
            authority: String::new(),
            headers,
        };
        let authority = head.header("Host").filter(|host| is_authority(host));
        Ok(Self { authority: authority.unwrap_or(own_authority).to_owned(), ..head })
    }

    /// The first header of this name, ignoring case.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).next()
    }

    pub(super) fn headers(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers
            .iter()
            .filter(move |(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The custom metadata in `X-Goog-Meta-…` headers
    /// (<https://docs.cloud.google.com/storage/docs/json_api/v1/parameters#xgoogmeta>).
    pub(super) fn custom_metadata(&self) -> Map<String, Value> {
        let custom = |(field, value): &(String, String)| {
            let field = field.to_ascii_lowercase();
            Some((field.strip_prefix("x-goog-meta-")?.to_owned(), value.as_str().into()))
        };
        self.headers.iter().filter_map(custom).collect()
    }

    /// The base of all URLs in responses.
    pub(super) fn base_url(&self) -> String {
        format!("http://{}", self.authority)
    }
}

fn is_authority(host: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
    !host.is_empty() && host.len() <= 300 && host.chars().all(legal)
}

/// A fault at a given byte of a request body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BodyFault {
    /// The number of body bytes to receive first.
    pub(super) after: u64,
    pub(super) kind: BodyFaultKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyFaultKind {
    /// Break the connection.
    Break(Break),
    /// Stop reading, because the response is already known.
    RespondEarly,
    /// Read nothing for this long.
    Stall(Duration),
}

/// The reason why a body could not be read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyError {
    /// The client disconnected or sent a malformed chunk, or the emulator shuts down.
    Incomplete,
    /// A [`BodyFault`] demands that the connection is broken.
    Break(Break),
    /// A [`BodyFault`] demands a response now.
    RespondEarly,
}

/// The reason why a request failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RequestError {
    /// The emulator rejects it with this error.
    Rejected(ApiError),
    /// Its body is incomplete.
    Body(BodyError),
}

impl From<ApiError> for RequestError {
    fn from(error: ApiError) -> Self {
        Self::Rejected(error)
    }
}

impl From<BodyError> for RequestError {
    fn from(error: BodyError) -> Self {
        Self::Body(error)
    }
}

/// Reader of a request body.
pub(super) struct RequestBody<'a> {
    /// `None` for a request without a body.
    source: Option<Body>,
    shutdown: &'a ShutdownSignal,
    length: Option<u64>,
    received: u64,
    fault: Option<BodyFault>,
    error: Option<BodyError>,
}

impl<'a> RequestBody<'a> {
    pub(super) fn new(
        source: Option<Body>,
        shutdown: &'a ShutdownSignal,
        fault: Option<BodyFault>,
    ) -> Self {
        let length = source.as_ref().map_or(Some(0), Body::content_length);
        Self { source, shutdown, length, received: 0, fault, error: None }
    }

    /// The Content-Length; `None` for a chunked body.
    pub(super) fn length(&self) -> Option<u64> {
        self.length
    }

    /// The number of bytes read so far.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// The error that ended the body early, if any.
    pub(super) fn error(&self) -> Option<BodyError> {
        self.error
    }

    /// Reads some bytes; returns 0 only at the end of a complete body.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, BodyError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        self.apply_fault()?;
        let Some(source) = self.source.as_ref().filter(|_| !buffer.is_empty()) else {
            return Ok(0);
        };
        let mut reader = source.reader();
        let Ok(available) = reader.fill() else {
            drop(reader);
            return self.fail(BodyError::Incomplete);
        };
        let max = self.fault.map_or(u64::MAX, |fault| fault.after - self.received);
        let count = available.len().min(buffer.len());
        let count = count.min(usize::try_from(max).unwrap_or(usize::MAX));
        buffer[..count].copy_from_slice(&available[..count]);
        reader.consume(count);
        self.received += count as u64;
        Ok(count)
    }

    /// Reads until the buffer has `size` bytes, or the body ends.
    pub(super) fn fill(&mut self, buffer: &mut Vec<u8>, size: usize) -> Result<(), BodyError> {
        let mut filled = buffer.len();
        let unread = self.length.map_or(u64::MAX, |length| length - self.received);
        let size = size.min(filled.saturating_add(usize::try_from(unread).unwrap_or(usize::MAX)));
        buffer.resize(size, 0);
        let result = loop {
            match self.read(&mut buffer[filled..]) {
                Ok(0) => break Ok(()),
                Ok(count) => filled += count,
                Err(error) => break Err(error),
            }
        };
        buffer.truncate(filled);
        result
    }

    /// Reads and discards `count` bytes, or fewer at the end of the body.
    pub(super) fn skip(&mut self, mut count: u64) -> Result<(), BodyError> {
        let mut buffer = vec![0; BUFFER_SIZE.min(usize::try_from(count).unwrap_or(BUFFER_SIZE))];
        while count > 0 {
            let max = buffer.len().min(usize::try_from(count).unwrap_or(usize::MAX));
            match self.read(&mut buffer[..max])? {
                0 => return Ok(()),
                read => count -= read as u64,
            }
        }
        Ok(())
    }

    /// Reads and discards the rest, because a client that is still sending may not read a response.
    pub(super) fn drain(&mut self) -> Result<(), BodyError> {
        if self.length == Some(self.received) { self.apply_fault() } else { self.skip(u64::MAX) }
    }

    /// Reads a JSON object; an empty body is an empty object.
    pub(super) fn json(&mut self) -> Result<Value, RequestError> {
        let mut text = Vec::new();
        self.fill(&mut text, MAX_JSON_SIZE + 1)?;
        if text.len() > MAX_JSON_SIZE {
            let message = format!("The metadata is longer than {MAX_JSON_SIZE} bytes.");
            return Err(ApiError::new(413, "uploadTooLarge", message).into());
        }
        // A fault at the very end must still take effect.
        self.drain()?;
        Ok(parse_json(&text)?)
    }

    /// Applies a fault that is due at this byte. Call it before processing begins, for faults at
    /// byte 0.
    pub(super) fn apply_fault(&mut self) -> Result<(), BodyError> {
        let due = self.fault.filter(|fault| fault.after == self.received);
        let Some(BodyFault { kind, .. }) = due else { return Ok(()) };
        match kind {
            BodyFaultKind::Stall(time) => {
                self.fault = None;
                self.shutdown.wait_timeout(time);
                Ok(())
            }
            // The body is complete, so the request is processed.
            _ if self.received > 0 && self.length == Some(self.received) => Ok(()),
            BodyFaultKind::Break(how) => self.fail(BodyError::Break(how)),
            BodyFaultKind::RespondEarly => self.fail(BodyError::RespondEarly),
        }
    }

    fn fail<T>(&mut self, error: BodyError) -> Result<T, BodyError> {
        self.error = Some(error);
        Err(error)
    }
}

pub(super) fn parse_json(text: &[u8]) -> Result<Value, ApiError> {
    if text.trim_ascii().is_empty() {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    match serde_json::from_slice(text) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err(ApiError::new(400, "parseError", "The metadata must be a JSON object.")),
        Err(error) => Err(ApiError::new(400, "parseError", format!("Parse Error: {error}"))),
    }
}

/// A response without a body.
pub(super) fn empty_response(status: u16) -> Response {
    Response::with_body(status, ResponseBody::Bytes(Vec::new()))
}

pub(super) fn json_response(status: u16, value: &Value) -> Response {
    let text = format!("{value}\n").into_bytes();
    Response::new(status, "application/json; charset=UTF-8", text)
}

/// Shortens the body of a response to at most `length` bytes.
pub(super) fn truncate(response: &mut Response, length: u64) {
    match &mut response.body {
        ResponseBody::Bytes(bytes) => bytes.truncate(usize::try_from(length).unwrap_or(usize::MAX)),
        ResponseBody::Stream(_, size) => *size = length.min(*size),
    }
}

/// Returns a reader of a response body.
pub(super) fn body_reader(body: ResponseBody) -> Box<dyn Read + Send> {
    match body {
        ResponseBody::Bytes(bytes) => Box::new(io::Cursor::new(bytes)),
        ResponseBody::Stream(content, length) => Box::new(content.take(length)),
    }
}

impl From<ApiError> for Response {
    fn from(error: ApiError) -> Self {
        match error.status {
            304 => empty_response(304),
            status => json_response(status, &error.to_json()),
        }
    }
}
