//! A request as the rest of the room reads it, and an answer as the rest writes it. Knows nothing
//! of buckets and objects.

use std::io::{Cursor, Read};
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};
use tiny_http::{Method, Request};
use url::form_urlencoded;

use super::error::ApiError;
use super::stop::Stop;
use super::wire::{Break, Link};

/// How much is read at once. Also the step in which Cloud Storage persists, so that a full buffer
/// is a whole step.
pub(super) const BUFFER: usize = 256 << 10;

/// When the rest of a body does not come, and when a request is dropped, the HTTP library allocates
/// as much memory as is missing. More than this must not be missing then.
pub(super) const MAX_UNREAD: u64 = 1 << 30;

/// The largest JSON body that is read into memory.
const MAX_JSON: usize = 1 << 20;

/// The parameters after the `?`.
#[derive(Clone, Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(text: &str) -> Self {
        Self(form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A parameter that must be a whole number, if it is there.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, ApiError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| digits).map(Some).ok_or_else(|| {
            ApiError::invalid(format!("Invalid value for {name}: it must be a whole number."))
        })
    }
}

/// Everything of a request but its body.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) method: Method,
    /// The path's segments, percent-decoded. What is no UTF-8 makes the request malformed.
    pub(super) path: Vec<String>,
    pub(super) query: Query,
    /// Whom the client thinks that it talks to: host and port.
    pub(super) authority: String,
    headers: Vec<(String, String)>,
}

impl Head {
    /// `own_authority` stands in for a Host header that is missing or senseless.
    pub(super) fn of(request: &Request, own_authority: &str) -> Result<Self, ApiError> {
        let target = request.url();
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
            .map_err(|_| ApiError::invalid("The path is not UTF-8, percent-encoded."))?;
        let headers: Vec<_> = request
            .headers()
            .iter()
            .map(|header| (header.field.to_string(), header.value.to_string()))
            .collect();
        let head = Self {
            method: request.method().clone(),
            path,
            query: Query::parse(query),
            authority: String::new(),
            headers,
        };
        let authority = head.header("Host").filter(|host| is_authority(host));
        Ok(Self { authority: authority.unwrap_or(own_authority).to_owned(), ..head })
    }

    /// The first header of this name, in any case of its letters.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).next()
    }

    pub(super) fn headers(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers
            .iter()
            .filter(move |(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// What the `X-Goog-Meta-…` headers say
    /// (<https://docs.cloud.google.com/storage/docs/json_api/v1/parameters#xgoogmeta>).
    pub(super) fn custom_metadata(&self) -> Map<String, Value> {
        let custom = |(field, value): &(String, String)| {
            let field = field.to_ascii_lowercase();
            Some((field.strip_prefix("x-goog-meta-")?.to_owned(), value.as_str().into()))
        };
        self.headers.iter().filter_map(custom).collect()
    }

    /// The start of every URL that is handed out.
    pub(super) fn base_url(&self) -> String {
        format!("http://{}", self.authority)
    }
}

fn is_authority(host: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
    !host.is_empty() && host.len() <= 300 && host.chars().all(legal)
}

/// What is to happen to a request at a certain byte of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Incident {
    /// How many bytes of the body are received before.
    pub(super) after: u64,
    pub(super) what: IncidentKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IncidentKind {
    /// The connection is broken off.
    BreakOff(Break),
    /// The body is not read any further, because the answer is already known.
    AnswerEarly,
    /// Nothing is read for this long.
    Stall(Duration),
}

/// The body ended before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// The client's side of the connection ended.
    ByClient,
    /// An [`Incident`] ended it, and the connection with it.
    BrokenOff,
    /// An [`Incident`] says to answer now.
    AnswerEarly,
}

/// Why a request comes to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// It is refused, and the client told so.
    Refused(ApiError),
    /// Its body did not come whole.
    Cut(Cut),
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self::Refused(error)
    }
}

impl From<Cut> for Failure {
    fn from(cut: Cut) -> Self {
        Self::Cut(cut)
    }
}

/// A request's body, as it comes in.
pub(super) struct Body<'a> {
    request: &'a mut Request,
    link: Arc<Link>,
    stop: &'a Stop,
    length: Option<u64>,
    received: u64,
    incident: Option<Incident>,
    cut: Option<Cut>,
    ended: bool,
    guarded: bool,
}

impl<'a> Body<'a> {
    pub(super) fn new(
        request: &'a mut Request,
        link: Arc<Link>,
        stop: &'a Stop,
        incident: Option<Incident>,
    ) -> Self {
        let chunked = request.headers().iter().any(|h| h.field.equiv("Transfer-Encoding"));
        let length = match chunked {
            true => None,
            false => Some(request.body_length().unwrap_or(0) as u64),
        };
        let guarded = length > Some(MAX_UNREAD);
        let cut = (guarded && !link.guard_body()).then_some(Cut::ByClient);
        Self { request, link, stop, length, received: 0, incident, cut, ended: false, guarded }
    }

    /// The connection that it comes over.
    pub(super) fn link(&self) -> &Link {
        &self.link
    }

    /// What Content-Length says; `None` for a chunked body.
    pub(super) fn length(&self) -> Option<u64> {
        self.length
    }

    /// How many bytes have come so far.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// How the body ended before its end, if it did.
    pub(super) fn cut(&self) -> Option<Cut> {
        self.cut
    }

    /// How many bytes the HTTP library would wait for when the request is dropped.
    pub(super) fn unread(&self) -> u64 {
        self.length.map_or(0, |length| length - self.received)
    }

    /// Reads some bytes; 0 only at the body's proper end.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Cut> {
        if let Some(cut) = self.cut {
            return Err(cut);
        }
        self.meet_incident()?;
        if self.ended || buffer.is_empty() || self.length == Some(self.received) {
            return Ok(0);
        }
        let most = self.incident.map_or(u64::MAX, |incident| incident.after - self.received);
        let count = buffer.len().min(usize::try_from(most).unwrap_or(usize::MAX));
        match self.request.as_reader().read(&mut buffer[..count]) {
            Ok(0) if self.length.is_none() => {
                self.ended = true;
                Ok(0)
            }
            Ok(0) | Err(_) => self.end_with(Cut::ByClient),
            Ok(count) => {
                self.received += count as u64;
                if self.guarded && self.unread() <= MAX_UNREAD {
                    self.link.unguard_body();
                    self.guarded = false;
                }
                Ok(count)
            }
        }
    }

    /// Reads until the buffer has `size` bytes, or the body ends.
    pub(super) fn fill(&mut self, buffer: &mut Vec<u8>, size: usize) -> Result<(), Cut> {
        let mut filled = buffer.len();
        let unread = self.length.map_or(u64::MAX, |length| length - self.received);
        let size = size.min(filled.saturating_add(usize::try_from(unread).unwrap_or(usize::MAX)));
        buffer.resize(size, 0);
        let outcome = loop {
            match self.read(&mut buffer[filled..]) {
                Ok(0) => break Ok(()),
                Ok(count) => filled += count,
                Err(cut) => break Err(cut),
            }
        };
        buffer.truncate(filled);
        outcome
    }

    /// Reads `count` bytes, or fewer at the body's end, and forgets them.
    pub(super) fn skip(&mut self, mut count: u64) -> Result<(), Cut> {
        let mut buffer = vec![0; BUFFER.min(usize::try_from(count).unwrap_or(BUFFER))];
        while count > 0 {
            let most = buffer.len().min(usize::try_from(count).unwrap_or(usize::MAX));
            match self.read(&mut buffer[..most])? {
                0 => return Ok(()),
                read => count -= read as u64,
            }
        }
        Ok(())
    }

    /// Reads the rest and forgets it: a client that is still sending does not hear an answer.
    pub(super) fn drain(&mut self) -> Result<(), Cut> {
        if self.length == Some(self.received) { self.meet_incident() } else { self.skip(u64::MAX) }
    }

    /// Reads a JSON object; an empty body is an empty object.
    pub(super) fn json(&mut self) -> Result<Value, Failure> {
        let mut text = Vec::new();
        self.fill(&mut text, MAX_JSON + 1)?;
        if text.len() > MAX_JSON {
            let message = format!("The metadata is longer than {MAX_JSON} bytes.");
            return Err(ApiError::new(413, "uploadTooLarge", message).into());
        }
        // An incident at the very end is still one.
        self.drain()?;
        Ok(parse_json(&text)?)
    }

    /// What an incident at this byte does; to be called before anything else when it is the first.
    pub(super) fn meet_incident(&mut self) -> Result<(), Cut> {
        let due = self.incident.filter(|incident| incident.after == self.received);
        let Some(Incident { what, .. }) = due else { return Ok(()) };
        match what {
            IncidentKind::Stall(time) => {
                self.incident = None;
                self.stop.wait(time);
                Ok(())
            }
            // A body that came whole is a request that came whole.
            _ if self.received > 0 && self.length == Some(self.received) => Ok(()),
            IncidentKind::BreakOff(how) => {
                self.link.break_off(how);
                self.end_with(Cut::BrokenOff)
            }
            IncidentKind::AnswerEarly => self.end_with(Cut::AnswerEarly),
        }
    }

    fn end_with<T>(&mut self, cut: Cut) -> Result<T, Cut> {
        self.cut = Some(cut);
        Err(cut)
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

/// What is sent back.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) content: Box<dyn Read + Send>,
    pub(super) length: u64,
}

impl Answer {
    pub(super) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), content: Box::new(std::io::empty()), length: 0 }
    }

    pub(super) fn json(status: u16, value: &Value) -> Self {
        let mut text = value.to_string().into_bytes();
        text.push(b'\n');
        let length = text.len() as u64;
        Self { content: Box::new(Cursor::new(text)), length, ..Self::empty(status) }
            .with("Content-Type", "application/json; charset=UTF-8")
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The same answer, with no more than the first bytes of its content.
    pub(super) fn truncated(self, length: u64) -> Self {
        let length = length.min(self.length);
        Self { content: Box::new(self.content.take(length)), length, ..self }
    }
}

impl From<ApiError> for Answer {
    fn from(error: ApiError) -> Self {
        match error.status {
            304 => Self::empty(304),
            status => Self::json(status, &error.to_json()),
        }
    }
}
