//! What a client's own file is to become, by the head of its request: who sends it, under which name,
//! of which type, and with which checksums.
//!
//! All that can be refused is refused here, before a byte of the file has been read.

use percent_encoding::percent_decode_str;

use crate::content::ObjectPrefix;
use crate::http::body::Body;
use crate::http::content_disposition::Disposition;
use crate::http::header_params::{Parameters, is_token};
use crate::http::multipart::{Boundary, PartHead};
use crate::http::request::Received;
use crate::server::Config;
use crate::server::auth::Caller;
use crate::server::problem::{self, Problem, quoted};
use crate::server::router;
use crate::server::uploads::checksums::{self, Stated};
use crate::server::uploads::query::{self, FileQuery, Naming};

/// What a file is of which nothing is said.
const UNKNOWN_TYPE: &str = "application/octet-stream";

/// What curl says of a file of which nothing was said to it. No file is of that type.
const CURLS_DEFAULT: &str = "application/x-www-form-urlencoded";

const FORM: &str = "multipart/form-data";

/// The longest media type.
const MAX_TYPE: usize = 255;

/// What a form may have beyond its files, in bytes: boundaries, heads, fields.
const FORM_OVERHEAD: u64 = 1 << 20;

/// An upload of one file or several.
#[derive(Clone, Debug)]
pub(crate) struct FileOrder {
    pub(crate) body: Body,
    pub(crate) payload: Payload,
    pub(crate) naming: Naming,
    /// Who ordered it; `None` where everybody may.
    pub(crate) caller: Option<Caller>,
}

/// What the body is.
#[derive(Clone, Debug)]
pub(crate) enum Payload {
    File(FileHead),
    Form(Boundary),
}

/// What is said of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileHead {
    /// The object's whole name.
    pub(crate) name: String,
    pub(crate) content_type: String,
    pub(crate) stated: Stated,
}

impl FileOrder {
    /// Reads a request; whoever may not upload learns nothing else.
    pub(crate) fn of(
        received: &Received,
        path: &str,
        query: Option<&str>,
        config: &Config,
    ) -> Result<Self, Problem> {
        let caller = config.access.uploader(&received.values("Authorization"))?;
        refuse_what_means_nothing_here(received)?;
        let body = received.body.clone().ok_or_else(length_required)?;
        let FileQuery { name, naming } = query::file(query)?;
        let name = match name {
            Some(name) => Some(name),
            None => name_in_path(path)?,
        };
        let payload = match boundary(received)? {
            Some(boundary) => form(received, boundary, name.as_deref())?,
            None => Payload::File(file(received, name, naming, &config.object_prefix)?),
        };
        payload.refuse_what_is_too_large(&body, config.max_upload_size.as_u64())?;
        Ok(Self { body, payload, naming, caller })
    }

    /// How long the file is, if it is one, and its client says so beforehand.
    pub(crate) fn announced(&self) -> Option<u64> {
        match self.payload {
            Payload::File(_) => self.body.announced(),
            Payload::Form(_) => None,
        }
    }

    /// The caller's name, or `-`, which is nobody's, where everybody may upload.
    pub(crate) fn caller_in_log(&self) -> &str {
        self.caller.as_ref().map_or("-", Caller::as_str)
    }
}

impl Payload {
    fn refuse_what_is_too_large(&self, body: &Body, maximum: u64) -> Result<(), Problem> {
        let allowed = match self {
            Self::File(_) => maximum,
            Self::Form(_) => maximum.saturating_add(FORM_OVERHEAD),
        };
        match body.announced() {
            Some(length) if length > allowed => {
                let detail = format!(
                    "The body has {length} bytes, and a file may have {maximum}. Nothing was stored."
                );
                Err(Problem::new(&problem::SIZE_TOO_LARGE, detail).with("maximum", maximum))
            }
            _ => Ok(()),
        }
    }
}

fn refuse_what_means_nothing_here(received: &Received) -> Result<(), Problem> {
    if !received.values("Idempotency-Key").is_empty() {
        let detail = "An Idempotency-Key is for random files alone. Give a file a name instead: it \
            is stored under it once, and then is 409.";
        return Err(Problem::new(&problem::BAD_IDEMPOTENCY_KEY, detail));
    }
    if !received.values("Content-Range").is_empty() {
        let detail = "A file is stored as a whole: send all of it, without Content-Range.";
        return Err(Problem::new(&problem::CONTENT_RANGE, detail));
    }
    let codings = received.values("Content-Encoding");
    match codings.iter().all(|coding| coding.trim().eq_ignore_ascii_case("identity")) {
        true => Ok(()),
        false => {
            let detail = "A file is stored as it comes: send it without Content-Encoding.";
            let problem = Problem::new(&problem::CONTENT_CODING, detail);
            Err(problem.with_header("Accept-Encoding", "identity"))
        }
    }
}

fn length_required() -> Problem {
    let detail = "Send the file as the body, with Content-Length (0 for an empty one), or chunked.";
    Problem::new(&problem::LENGTH_REQUIRED, detail)
}

fn name_in_path(path: &str) -> Result<Option<String>, Problem> {
    let name = router::name_in(path);
    let decoded = percent_decode_str(name).decode_utf8().map_err(|_| {
        let detail = format!("The name in the path, {}, is not UTF-8.", quoted(name));
        Problem::new(&problem::BAD_NAME, detail)
    })?;
    Ok(Some(decoded.into_owned()).filter(|name| !name.is_empty()))
}

/// What separates the parts, if the body is a form.
fn boundary(received: &Received) -> Result<Option<Boundary>, Problem> {
    let bad = |detail| Problem::new(&problem::BAD_CONTENT_TYPE, detail);
    match received.values("Content-Type")[..] {
        [] => Ok(None),
        [one] => match Parameters::parse(one) {
            Some(parameters) if parameters.value == FORM => {
                let boundary = parameters.get("boundary").and_then(Boundary::new);
                boundary.map(Some).ok_or_else(|| bad("A form needs a boundary (RFC 7578)."))
            }
            Some(_) => Ok(None),
            None => Err(bad("Content-Type makes no sense: write text/plain; charset=utf-8.")),
        },
        _ => Err(bad("Content-Type is there more than once: send one.")),
    }
}

fn form(received: &Received, boundary: Boundary, name: Option<&str>) -> Result<Payload, Problem> {
    if name.is_some() {
        let detail = "name is for a body that is one file: in a form, each file brings its own.";
        return Err(query::bad_parameter("name", detail));
    }
    if checksums::HEADERS.iter().any(|header| !received.values(header).is_empty()) {
        let detail =
            "A checksum of a whole form is not looked at: state each file's with its part.";
        return Err(Problem::new(&problem::BAD_CHECKSUM, detail));
    }
    Ok(Payload::Form(boundary))
}

fn file(
    received: &Received,
    name: Option<String>,
    naming: Naming,
    prefix: &ObjectPrefix,
) -> Result<FileHead, Problem> {
    let name = match name {
        Some(name) => Some(name),
        None => disposition(&received.values("Content-Disposition"))?.and_then(|d| d.file_name),
    };
    let name = name.filter(|name| !name.is_empty());
    Ok(FileHead {
        name: object_name(name.as_deref(), naming, prefix)?,
        content_type: content_type(&received.values("Content-Type"))?,
        stated: stated(|name| received.values(name))?,
    })
}

impl FileHead {
    /// The head of a part of a form; `None` if the part is no file, but a field.
    pub(crate) fn of_part(
        part: &PartHead,
        naming: Naming,
        prefix: &ObjectPrefix,
    ) -> Result<Option<(Self, Chosen)>, Problem> {
        let disposition = disposition(&part.values("Content-Disposition"))?;
        let Some(name) = disposition.and_then(|disposition| disposition.file_name) else {
            return Ok(None);
        };
        let chosen = if name.is_empty() { Chosen::No } else { Chosen::Yes };
        let name = Some(name.as_str()).filter(|name| !name.is_empty());
        let head = Self {
            name: object_name(name, naming, prefix)?,
            content_type: content_type(&part.values("Content-Type"))?,
            stated: stated(|name| part.values(name))?,
        };
        Ok(Some((head, chosen)))
    }
}

/// Whether a form's user has chosen a file: browsers send a part all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chosen {
    Yes,
    /// An empty part is no file then.
    No,
}

/// The object's whole name: the one that the client chose, or a new one.
fn object_name(
    chosen: Option<&str>,
    naming: Naming,
    prefix: &ObjectPrefix,
) -> Result<String, Problem> {
    let Some(chosen) = chosen else { return Ok(prefix.random_name()) };
    let name = match naming {
        Naming::AsIs => prefix.client_name(chosen),
        Naming::Unique => prefix.unique_client_name(chosen),
    };
    name.map_err(|error| {
        let detail = format!("The name {} {error}.", quoted(chosen));
        Problem::new(&problem::BAD_NAME, detail)
    })
}

fn disposition(values: &[&str]) -> Result<Option<Disposition>, Problem> {
    let parsed = match values {
        [] => return Ok(None),
        [one] => Disposition::parse(one),
        _ => None,
    };
    parsed.map(Some).ok_or_else(|| {
        let detail = "Content-Disposition must be there once, like attachment; filename=\"a.txt\"; \
            filename*=UTF-8''%C3%A4.txt.";
        Problem::new(&problem::BAD_DISPOSITION, detail)
    })
}

/// The media type to be stored.
fn content_type(values: &[&str]) -> Result<String, Problem> {
    match values {
        [] => Ok(UNKNOWN_TYPE.to_owned()),
        [one] if is_media_type(one) => match one.eq_ignore_ascii_case(CURLS_DEFAULT) {
            true => Ok(UNKNOWN_TYPE.to_owned()),
            false => Ok((*one).to_owned()),
        },
        _ => {
            let detail = "Content-Type must be there once, like text/plain; charset=utf-8.";
            Err(Problem::new(&problem::BAD_CONTENT_TYPE, detail))
        }
    }
}

fn is_media_type(text: &str) -> bool {
    let printable = text.len() <= MAX_TYPE && text.bytes().all(|b| matches!(b, b' '..=b'~'));
    let parsed = Parameters::parse(text).filter(|_| printable);
    let kind = parsed.as_ref().and_then(|parsed| parsed.value.split_once('/'));
    kind.is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype))
}

fn stated<'a>(values_of: impl Fn(&'static str) -> Vec<&'a str>) -> Result<Stated, Problem> {
    Stated::of(values_of).map_err(|bad| {
        let detail = format!(
            "{} makes no sense: it takes base64 of the whole checksum, like x-goog-hash: \
             crc32c=yZRlqg==, Content-MD5: XrY7u+Ae7tCTyyK7j1rNww== or Repr-Digest: sha-256=:…:.",
            bad.header
        );
        Problem::new(&problem::BAD_CHECKSUM, detail)
    })
}
