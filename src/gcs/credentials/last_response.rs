//! Last response of a token endpoint, made fit to be shown: the text of an error is all that an
//! operator has.
//!
//! Never shows a token or a key, whatever the endpoint put into its response: JSON is shown only by
//! its error fields, other text only if it does not speak of tokens, and in both whatever looks
//! like a token is masked.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::Value;
use yup_oauth2::hyper::StatusCode;

use crate::sync::LockExt as _;

/// Bytes of a response that are kept for an error's text.
const MAX_RECORDED_BYTES: usize = 4 << 10;
/// Characters of a response that an error's text shows.
const MAX_SHOWN_CHARS: usize = 240;
/// From how many characters on a word with letters and digits counts as a token.
const MIN_TOKEN_LENGTH: usize = 24;
/// From how many characters on a word without digits counts as a token.
const MIN_LONG_WORD: usize = 40;

/// The beginning of the last response that came over the wire, and from where.
#[derive(Clone, Default)]
pub(super) struct LastResponse(Arc<Mutex<Record>>);

#[derive(Default)]
struct Record {
    endpoint: String,
    bytes: Vec<u8>,
}

impl LastResponse {
    /// A connection to `endpoint` (scheme and host) begins; what was kept is forgotten.
    pub(super) fn begin(&self, endpoint: String) {
        *self.record() = Record { endpoint, bytes: Vec::new() };
    }

    /// These bytes came.
    pub(super) fn append(&self, bytes: &[u8]) {
        let mut record = self.record();
        let room = MAX_RECORDED_BYTES.saturating_sub(record.bytes.len()).min(bytes.len());
        record.bytes.extend_from_slice(&bytes[..room]);
    }

    /// Forgets everything: a response that was understood holds a token.
    pub(super) fn forget(&self) {
        *self.record() = Record::default();
    }

    /// Scheme and host of the last connection; empty if there was none.
    pub(super) fn endpoint(&self) -> String {
        self.record().endpoint.clone()
    }

    /// The status of the last response, if one came.
    pub(super) fn status(&self) -> Option<StatusCode> {
        let record = self.record();
        let line = record.bytes.split(|byte| *byte == b'\r').next()?;
        let code = line.strip_prefix(b"HTTP/1.")?.get(2..5)?;
        StatusCode::from_bytes(code).ok()
    }

    /// Returns the message of the last response's body, as [`describe`] formats it.
    pub(super) fn said(&self, secrets: &[String]) -> String {
        describe(&body(&self.record().bytes), secrets)
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.0.lock_ignoring_poison()
    }
}

/// The body within the beginning of an HTTP/1.1 response.
fn body(response: &[u8]) -> Vec<u8> {
    let Some(end) = response.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Vec::new();
    };
    let (head, body) = (&response[..end], &response[end + 4..]);
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    match head.contains("\r\ntransfer-encoding: chunked") {
        true => joined(body),
        false => body.to_vec(),
    }
}

/// The chunks of a body, put together as far as they are there (RFC 9112, section 7.1).
fn joined(mut chunks: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = chunks.windows(2).position(|window| window == b"\r\n") {
        let line = String::from_utf8_lossy(&chunks[..end]);
        let digits = line.split(';').next().unwrap_or_default().trim();
        let Ok(size) = usize::from_str_radix(digits, 16) else { break };
        let rest = &chunks[end + 2..];
        body.extend_from_slice(&rest[..size.min(rest.len())]);
        chunks = rest.get(size.saturating_add(2)..).unwrap_or_default();
    }
    body
}

/// Formats the message of a body for an error's text.
pub(super) fn describe(body: &[u8], secrets: &[String]) -> String {
    let text = String::from_utf8_lossy(body);
    if text.trim().is_empty() {
        return "an empty response".to_owned();
    }
    match serde_json::from_slice::<Value>(body) {
        Ok(value) => match error_of(&value) {
            Some(error) => presentable(&error, secrets),
            None => "JSON without a usable access token in it".to_owned(),
        },
        Err(_) if text.to_ascii_lowercase().contains("token") => {
            "text that is not the JSON of a token; not shown, as it may hold a secret".to_owned()
        }
        Err(_) => format!("not JSON but \"{}\"", presentable(&text, secrets)),
    }
}

/// The error in the form of OAuth 2.0 (RFC 6749, section 5.2) or of Google's APIs.
fn error_of(value: &Value) -> Option<String> {
    let error = value.get("error")?;
    let code = error.as_str().or_else(|| error.get("status")?.as_str());
    let message = value.get("error_description").or_else(|| error.get("message"));
    match (code, message.and_then(Value::as_str)) {
        (Some(code), Some(message)) => Some(format!("{code}: {message}")),
        (Some(text), None) | (None, Some(text)) => Some(text.to_owned()),
        (None, None) => None,
    }
}

/// `text` on one line, shortened, with control characters escaped and secrets masked.
pub(super) fn presentable(text: &str, secrets: &[String]) -> String {
    let known = secrets.iter().filter(|secret| !secret.is_empty());
    let text = known.fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), "…"));
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let masked = masked(&text);
    let mut shown = String::new();
    for character in masked.chars().take(MAX_SHOWN_CHARS) {
        match character.is_control() {
            true => shown.extend(character.escape_default()),
            false => shown.push(character),
        }
    }
    if masked.chars().nth(MAX_SHOWN_CHARS).is_some() {
        let _ = write!(shown, "…");
    }
    shown
}

/// `text` with every word that looks like a token replaced.
fn masked(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let word = rest.find(|c| !is_of_token(c)).unwrap_or(rest.len());
        let (head, tail) = rest.split_at(word);
        result.push_str(if looks_like_token(head) { "…" } else { head });
        let other = tail.find(is_of_token).unwrap_or(tail.len());
        let (between, next) = tail.split_at(other);
        result.push_str(between);
        rest = next;
    }
    result
}

/// Characters of base64 and base64url. Not the dot and the slash: names of permissions and paths
/// would become words that are long enough, while the parts of a token remain so without them.
fn is_of_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '+' | '=')
}

fn looks_like_token(word: &str) -> bool {
    let digits = word.bytes().any(|byte| byte.is_ascii_digit());
    let letters = word.bytes().any(|byte| byte.is_ascii_alphabetic());
    (word.len() >= MIN_TOKEN_LENGTH && digits && letters) || word.len() >= MIN_LONG_WORD
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(response: &[u8]) -> (Option<u16>, String) {
        let last = LastResponse::default();
        last.begin("https://sts.example".to_owned());
        response.chunks(7).for_each(|part| last.append(part));
        (last.status().map(|status| status.as_u16()), last.said(&[]))
    }

    #[test]
    fn oauth_error_is_shown_with_its_description() {
        let response = b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n\r\n\
            {\"error\":\"invalid_grant\",\"error_description\":\"Bad\\r\\nRequest\"}";
        assert_eq!(said(response), (Some(400), "invalid_grant: Bad Request".to_owned()));
    }

    #[test]
    fn google_api_error_is_shown_with_its_message() {
        let response = b"HTTP/1.1 403 Forbidden\r\n\r\n{\"error\":{\"code\":403,\"message\":\
            \"Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not \
            exist).\",\"status\":\"PERMISSION_DENIED\"}}";
        let expected = "PERMISSION_DENIED: Permission 'iam.serviceAccounts.getAccessToken' denied \
                        on resource (or it may not exist).";
        assert_eq!(said(response), (Some(403), expected.to_owned()));
    }

    #[test]
    fn chunked_body_is_joined() {
        let response = b"HTTP/1.1 502 Bad Gateway\r\nTransfer-Encoding: chunked\r\n\r\n\
            5\r\nupstr\r\n6;x=y\r\neam is\r\n5\r\n down\r\n0\r\n\r\n";
        assert_eq!(said(response), (Some(502), "not JSON but \"upstream is down\"".to_owned()));
    }

    #[test]
    fn chunk_with_invalid_size_is_tolerated() {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        for size in ["ffffffffffffffff", "fffffffffffffffff", "-1", "", "x"] {
            let response = format!("{head}{size}\r\nabc");
            assert!(!said(response.as_bytes()).1.is_empty());
        }
    }

    #[test]
    fn response_that_is_not_http_has_no_status() {
        assert_eq!(said(b"SSH-2.0-OpenSSH_9.2\r\n"), (None, "an empty response".to_owned()));
        assert_eq!(said(b""), (None, "an empty response".to_owned()));
    }

    #[test]
    fn json_is_shown_only_by_its_error() {
        let body = br#"{"access_token":"short","token_type":"mac"}"#;
        assert_eq!(describe(body, &[]), "JSON without a usable access token in it");
        assert_eq!(describe(b"\"ya29\"", &[]), "JSON without a usable access token in it");
    }

    #[test]
    fn text_that_mentions_tokens_is_not_shown() {
        assert!(!describe(br#"{"access_token":"ya29.cut sh"#, &[]).contains("cut sh"));
    }

    #[test]
    fn words_like_tokens_are_masked() {
        let jwt = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJ1cGxvYWRlckBwcm9qZWN0Iiwi.c2ln";
        assert_eq!(presentable(&format!("assertion {jwt}!"), &[]), "assertion ….….c2ln!");
        let grant = "refused: 1//0gdlskfjalskdjfLKJlkjlkj-L9Ir_lksdjf";
        assert_eq!(presentable(grant, &[]), "refused: 1//…");
    }

    #[test]
    fn known_secrets_are_masked_at_any_length() {
        let secrets = ["hunter2".to_owned(), String::new()];
        assert_eq!(presentable("client hunter2 is unknown", &secrets), "client … is unknown");
    }

    #[test]
    fn shown_text_is_one_short_line_without_control_characters() {
        let shown = presentable(&format!("a\u{1b}[31m\r\nb {}", "c ".repeat(1000)), &[]);
        assert!(shown.starts_with("a\\u{1b}[31m b c c"), "{shown}");
        assert!(shown.chars().count() < 300 && shown.ends_with('…'), "{shown}");
    }
}
