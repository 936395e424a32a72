//! Request for an upload of one file or of a form: name, type and digests, from the request's head.
//!
//! Everything that can be refused is refused here, before a byte of the body is read.

use percent_encoding::percent_decode_str;

use crate::content::ObjectPrefix;
use crate::http::body::Body;
use crate::http::content_disposition::ContentDisposition;
use crate::http::header_params::{ParameterizedValue, is_media_type};
use crate::http::multipart::{Boundary, PartHead};
use crate::http::request::Request;
use crate::server::auth::Principal;
use crate::server::config::Config;
use crate::server::problem::{self, Problem, quoted};
use crate::server::router;
use crate::server::uploads::checksums::{self, ExpectedDigests};
use crate::server::uploads::query::{self, FileQuery, Naming};

/// Media type of a file whose client sends none.
const DEFAULT_TYPE: &str = "application/octet-stream";

/// curl's default Content-Type for `--data`; never a file's real type.
const CURL_DEFAULT_TYPE: &str = "application/x-www-form-urlencoded";

const FORM: &str = "multipart/form-data";

/// Bytes of a form beyond its files: boundaries, heads, fields.
const FORM_OVERHEAD: u64 = 1 << 20;

/// Request for an upload of one file or several.
#[derive(Clone, Debug)]
pub(crate) struct FileUploadRequest {
    pub(crate) body: Body,
    pub(crate) content: BodyContent,
    pub(crate) naming: Naming,
    /// `None` where tokens are not required.
    pub(crate) principal: Option<Principal>,
}

/// Content of the body.
#[derive(Clone, Debug)]
pub(crate) enum BodyContent {
    File(FileHead),
    Form(Boundary),
}

/// Name, type and digests of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileHead {
    /// Full name of the object.
    pub(crate) name: String,
    pub(crate) content_type: String,
    pub(crate) digests: ExpectedDigests,
}

impl FileUploadRequest {
    /// Parses a request. Authentication comes first: without it, no other error is reported.
    pub(crate) fn parse(
        request: &Request,
        path: &str,
        query: Option<&str>,
        config: &Config,
    ) -> Result<Self, Problem> {
        let principal = config.auth.uploader(&request.values("Authorization"))?;
        refuse_unsupported_headers(request)?;
        let body = request.body.clone().ok_or_else(length_required)?;
        let FileQuery { name, naming } = query::file(query)?;
        let name = match name {
            Some(name) => Some(name),
            None => name_in_path(path)?,
        };
        let content = match boundary(request)? {
            Some(boundary) => form(request, boundary, name.as_deref())?,
            None => BodyContent::File(file(request, name, naming, &config.object_prefix)?),
        };
        content.check_length(&body, config.max_upload_size.as_u64())?;
        Ok(Self { body, content, naming, principal })
    }

    /// Returns the length of a single file, if the client announced it.
    pub(crate) fn content_length(&self) -> Option<u64> {
        match self.content {
            BodyContent::File(_) => self.body.content_length(),
            BodyContent::Form(_) => None,
        }
    }
}

impl BodyContent {
    fn check_length(&self, body: &Body, maximum: u64) -> Result<(), Problem> {
        let allowed = match self {
            Self::File(_) => maximum,
            Self::Form(_) => maximum.saturating_add(FORM_OVERHEAD),
        };
        match body.content_length() {
            Some(length) if length > allowed => {
                let detail = format!(
                    "The body has {length} bytes; the maximum is {maximum}. Nothing was stored."
                );
                Err(Problem::new(&problem::SIZE_TOO_LARGE, detail).with("maximum", maximum))
            }
            _ => Ok(()),
        }
    }
}

fn refuse_unsupported_headers(request: &Request) -> Result<(), Problem> {
    if !request.values("Idempotency-Key").is_empty() {
        let detail = "Idempotency-Key is supported for random files only. Name the file instead: a \
            second upload under the same name returns 409.";
        return Err(Problem::new(&problem::BAD_IDEMPOTENCY_KEY, detail));
    }
    if !request.values("Content-Range").is_empty() {
        let detail =
            "Partial uploads are not supported: send the whole file, without Content-Range.";
        return Err(Problem::new(&problem::CONTENT_RANGE, detail));
    }
    let codings = request.values("Content-Encoding");
    if codings.iter().all(|coding| coding.trim().eq_ignore_ascii_case("identity")) {
        return Ok(());
    }
    let detail = "Content codings are not supported: send the file without Content-Encoding.";
    let problem = Problem::new(&problem::CONTENT_CODING, detail);
    Err(problem.with_header("Accept-Encoding", "identity"))
}

fn length_required() -> Problem {
    let detail = "Send the file as the body, with Content-Length (0 for an empty one), or chunked.";
    Problem::new(&problem::LENGTH_REQUIRED, detail)
}

fn name_in_path(path: &str) -> Result<Option<String>, Problem> {
    let name = router::name_in(path);
    let decoded = percent_decode_str(name).decode_utf8().map_err(|_| {
        let detail = format!("The name in the path, {}, is not valid UTF-8.", quoted(name));
        Problem::new(&problem::BAD_NAME, detail)
    })?;
    Ok(Some(decoded.into_owned()).filter(|name| !name.is_empty()))
}

/// Returns the boundary of the parts, if the body is a form.
fn boundary(request: &Request) -> Result<Option<Boundary>, Problem> {
    let bad = |detail| Problem::new(&problem::BAD_CONTENT_TYPE, detail);
    match request.values("Content-Type")[..] {
        [] => Ok(None),
        [one] => match ParameterizedValue::parse(one) {
            Some(parameters) if parameters.value == FORM => {
                let boundary = parameters.get("boundary").and_then(Boundary::new);
                boundary.map(Some).ok_or_else(|| {
                    bad("A form needs a valid boundary in its Content-Type (RFC 7578).")
                })
            }
            Some(_) => Ok(None),
            None => Err(bad("Invalid Content-Type: send one like text/plain; charset=utf-8.")),
        },
        _ => Err(bad("Content-Type was sent more than once: send exactly one.")),
    }
}

fn form(request: &Request, boundary: Boundary, name: Option<&str>) -> Result<BodyContent, Problem> {
    if name.is_some() {
        let detail = "The parameter name is for a body that is one file: in a form, each part has its own name.";
        return Err(query::invalid_parameter("name", detail));
    }
    if checksums::HEADERS.iter().any(|header| !request.values(header).is_empty()) {
        let detail =
            "Checksums of a whole form are not supported: send each file's checksum with its part.";
        return Err(Problem::new(&problem::BAD_CHECKSUM, detail));
    }
    Ok(BodyContent::Form(boundary))
}

fn file(
    request: &Request,
    name: Option<String>,
    naming: Naming,
    prefix: &ObjectPrefix,
) -> Result<FileHead, Problem> {
    let name = match name {
        Some(name) => Some(name),
        None => disposition(&request.values("Content-Disposition"))?.and_then(|d| d.file_name),
    };
    let name = name.filter(|name| !name.is_empty());
    Ok(FileHead {
        name: object_name(name.as_deref(), naming, prefix)?,
        content_type: content_type(&request.values("Content-Type"))?,
        digests: digests(|name| request.values(name))?,
    })
}

impl FileHead {
    /// Parses the head of a part of a form; `None` if the part is a field and not a file.
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
            digests: digests(|name| part.values(name))?,
        };
        Ok(Some((head, chosen)))
    }
}

/// Choice of a file in a form: browsers send a part without a name if no file was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chosen {
    Yes,
    /// An empty part is not a file then.
    No,
}

/// Returns the full name of the object: the name that the client chose, or a new one.
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

fn disposition(values: &[&str]) -> Result<Option<ContentDisposition>, Problem> {
    let parsed = match values {
        [] => return Ok(None),
        [one] => ContentDisposition::parse(one),
        _ => None,
    };
    parsed.map(Some).ok_or_else(|| {
        let detail = "Send exactly one valid Content-Disposition, for example attachment; \
            filename=\"a.txt\"; filename*=UTF-8''%C3%A4.txt.";
        Problem::new(&problem::BAD_CONTENT_DISPOSITION, detail)
    })
}

/// Returns the media type to be stored.
fn content_type(values: &[&str]) -> Result<String, Problem> {
    match values {
        [] => Ok(DEFAULT_TYPE.to_owned()),
        [one] if is_media_type(one) => {
            if one.eq_ignore_ascii_case(CURL_DEFAULT_TYPE) {
                Ok(DEFAULT_TYPE.to_owned())
            } else {
                Ok((*one).to_owned())
            }
        }
        _ => {
            let detail =
                "Send exactly one valid Content-Type, for example text/plain; charset=utf-8.";
            Err(Problem::new(&problem::BAD_CONTENT_TYPE, detail))
        }
    }
}

fn digests<'a>(
    values_of: impl Fn(&'static str) -> Vec<&'a str>,
) -> Result<ExpectedDigests, Problem> {
    ExpectedDigests::from_headers(values_of).map_err(|bad| {
        let detail = format!(
            "Invalid {}: it takes the base64 encoding of the checksum, for example x-goog-hash: \
             crc32c=yZRlqg==, Content-MD5: XrY7u+Ae7tCTyyK7j1rNww== or Repr-Digest: sha-256=:…:.",
            bad.header
        );
        Problem::new(&problem::BAD_CHECKSUM, detail)
    })
}
