//! Text from outside, made safe for log lines and responses.

use serde_json::Value;

/// Maximum length of a quoted text, in characters.
const MAX_CHARS: usize = 300;

/// Extracts the message of an error response: the message of its JSON error
/// (<https://docs.cloud.google.com/storage/docs/json_api/v1/status-codes>), otherwise the beginning
/// of the body.
pub(super) fn gcs_message(body: &[u8]) -> String {
    let error: Option<Value> = serde_json::from_slice(body).ok();
    match error.as_ref().and_then(|value| value.pointer("/error/message")?.as_str()) {
        Some(message) => printable(message.as_bytes()),
        None if body.is_empty() => "no message".to_owned(),
        None => printable(body),
    }
}

/// Returns the beginning of a text on one line. Control characters are escaped, the value after
/// each `upload_id=` is removed, and invalid UTF-8 is replaced.
pub(super) fn printable(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(&text[..text.len().min(4 * MAX_CHARS)]);
    let mut out = String::new();
    let (mut hidden, mut rest) = (false, text.trim());
    while let Some(at) = rest.find("upload_id=") {
        out.push_str(if hidden { skip_secret(&rest[..at]) } else { &rest[..at] });
        out.push_str("upload_id=…");
        (hidden, rest) = (true, &rest[at + "upload_id=".len()..]);
    }
    out.push_str(if hidden { skip_secret(rest) } else { rest });
    let escape = |c: char| match c {
        c if c.is_control() => c.escape_default().collect::<String>(),
        c => c.to_string(),
    };
    let shortened: String = out.chars().take(MAX_CHARS).map(escape).collect();
    if out.chars().count() > MAX_CHARS { shortened + "…" } else { shortened }
}

/// Skips the value of a query parameter.
fn skip_secret(text: &str) -> &str {
    let ends = |c: char| !(c.is_ascii_alphanumeric() || "-._~%".contains(c));
    text.find(ends).map_or("", |end| &text[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_of_a_json_error_is_extracted() {
        let body = br#"{"error":{"code":403,"message":"no access","errors":[]}}"#;
        assert_eq!(gcs_message(body), "no access");
    }

    #[test]
    fn body_without_json_error_is_quoted() {
        assert_eq!(gcs_message(b"  Not Found\r\n"), "Not Found");
        assert_eq!(gcs_message(b""), "no message");
        assert_eq!(gcs_message(br#"{"error":"x"}"#), r#"{"error":"x"}"#);
    }

    #[test]
    fn printable_text_is_one_short_line() {
        assert_eq!(printable(b"a\nb\x1b[31m"), "a\\nb\\u{1b}[31m");
        let long = printable("ü".repeat(1 << 20).as_bytes());
        assert!(long.chars().count() <= MAX_CHARS + 1 && long.ends_with('…'));
        assert_eq!(printable(b"\xff\xfe"), "\u{fffd}\u{fffd}");
    }

    #[test]
    fn session_secret_is_removed_from_text() {
        assert_eq!(printable(b"no session upload_id=AbC-1_2%2F."), "no session upload_id=…");
        assert_eq!(
            printable(b"u?upload_id=s3cret&x=1 upload_id=t"),
            "u?upload_id=…&x=1 upload_id=…"
        );
    }
}
