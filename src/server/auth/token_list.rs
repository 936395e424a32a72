//! Token list: a fingerprint, the name of a principal and a scope on each line.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::fmt;
use std::str::{self, FromStr};
use std::sync::Arc;

use thiserror::Error;

use super::token::Fingerprint;
use crate::redact::contains_token;

/// Characters of a principal's name.
const MAX_NAME: usize = 64;

/// Owner of a token, with a name of 1 to 64 characters of `A-Z a-z 0-9 . _ -`, of which the first is a letter or
/// a digit. Safe in a log line and a metadata value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal(Arc<str>);

/// Error of a text that is not a valid [`Principal`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "a token's name has 1 to {MAX_NAME} letters, digits, dots, dashes and underscores, and begins with \
     a letter or a digit"
)]
pub struct PrincipalError;

impl Principal {
    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the name for the log; `-`, which no principal has, where tokens are not required.
    pub(crate) fn log_name(principal: Option<&Self>) -> &str {
        principal.map_or("-", Self::as_str)
    }
}

impl FromStr for Principal {
    type Err = PrincipalError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        let right = (1..=MAX_NAME).contains(&text.len())
            && text.bytes().all(legal)
            && text.as_bytes()[0].is_ascii_alphanumeric()
            && !contains_token(text.as_bytes());
        if right { Ok(Self(text.into())) } else { Err(PrincipalError) }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Scope of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Uploads, and the list of uploads.
    Upload,
    /// The list of uploads only.
    View,
    /// Nothing. The token is known, so that its use shows in the log before it is removed.
    Nothing,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    fingerprint: Fingerprint,
    pub(crate) principal: Principal,
    pub(crate) scope: Scope,
}

/// Known tokens. Several may have the same name, for instance during a rotation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TokenList(Vec<Entry>);

/// Error of an invalid list. Does not quote the file, which may contain a token.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}: {error}")]
pub struct TokenListError {
    /// Counted from 1.
    pub line: usize,
    /// Error in the line.
    pub error: LineError,
}

/// Error in a line.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum LineError {
    #[error("is not valid UTF-8")]
    NotText,
    #[error(
        "contains a token itself: write its SHA-256 instead, create a new token with gcs-uploader token \
         new, and consider this one compromised"
    )]
    TokenItself,
    #[error("does not begin with sha256: and 64 hexadecimal digits")]
    NoFingerprint,
    #[error("has no name: write sha256:HEX NAME")]
    NoName,
    #[error("{0}")]
    InvalidName(#[from] PrincipalError),
    #[error("has an invalid scope after the name: use upload, view or nothing")]
    InvalidScope,
    #[error("has more than a SHA-256, a name and a scope")]
    TooMuch,
    #[error("repeats the SHA-256 of line {0}")]
    Repeats(usize),
}

impl TokenList {
    /// Reads a list: on each line `sha256:HEX NAME`, and `view` or `nothing` where it is not
    /// `upload`. Empty lines and lines that begin with `#` are ignored.
    pub(crate) fn parse(file: &[u8]) -> Result<Self, TokenListError> {
        let mut entries = Vec::new();
        let mut lines = HashMap::new();
        for (line, text) in (1..).zip(file.split(|&b| b == b'\n')) {
            let failed = |error| TokenListError { line, error };
            let Some(entry) = entry(text).map_err(failed)? else { continue };
            match lines.entry(entry.fingerprint) {
                Slot::Occupied(first) => return Err(failed(LineError::Repeats(*first.get()))),
                Slot::Vacant(slot) => slot.insert(line),
            };
            entries.push(entry);
        }
        Ok(Self(entries))
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The token of this fingerprint. Every one is compared, and each in constant time, so that
    /// the time it takes says nothing about any.
    pub(crate) fn find(&self, fingerprint: Fingerprint) -> Option<&Entry> {
        let mut found = None;
        for entry in &self.0 {
            if bool::from(entry.fingerprint.ct_eq(&fingerprint)) {
                found = Some(entry);
            }
        }
        found
    }
}

fn entry(line: &[u8]) -> Result<Option<Entry>, LineError> {
    let line = str::from_utf8(line).map_err(|_| LineError::NotText)?.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    if contains_token(line.as_bytes()) {
        return Err(LineError::TokenItself);
    }
    let mut words = line.split_ascii_whitespace();
    let fingerprint = words.next().and_then(Fingerprint::parse);
    let fingerprint = fingerprint.ok_or(LineError::NoFingerprint)?;
    let principal = words.next().ok_or(LineError::NoName)?.parse()?;
    let scope = match words.next() {
        None | Some("upload") => Scope::Upload,
        Some("view") => Scope::View,
        Some("nothing") => Scope::Nothing,
        Some(_) => return Err(LineError::InvalidScope),
    };
    match words.next() {
        None => Ok(Some(Entry { fingerprint, principal, scope })),
        Some(_) => Err(LineError::TooMuch),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(token: &str, rest: &str) -> String {
        format!("{} {rest}", Fingerprint::of(token))
    }

    fn error(file: &[u8]) -> (usize, LineError) {
        let error = TokenList::parse(file).unwrap_err();
        (error.line, error.error)
    }

    #[test]
    fn reads_names_and_what_tokens_are_for() {
        let file = format!(
            "# who uploads here\n\n{}\r\n\t {}  \n{}\n{}",
            line("a", "ci"),
            line("b", "batch upload"),
            line("c", "old nothing"),
            line("d", "wall view")
        );
        let tokens = TokenList::parse(file.as_bytes()).unwrap();
        let found =
            |token| tokens.find(Fingerprint::of(token)).map(|e| (e.principal.as_str(), e.scope));
        assert_eq!(found("a"), Some(("ci", Scope::Upload)));
        assert_eq!(found("b"), Some(("batch", Scope::Upload)));
        assert_eq!(found("c"), Some(("old", Scope::Nothing)));
        assert_eq!(found("d"), Some(("wall", Scope::View)));
        assert_eq!(found("e"), None);
    }

    #[test]
    fn a_name_may_have_several_tokens() {
        let file = format!("{}\n{}", line("old", "ci"), line("new", "ci"));
        assert_eq!(TokenList::parse(file.as_bytes()).unwrap().len(), 2);
    }

    #[test]
    fn an_empty_list_lets_nobody_in() {
        for file in ["", "\n", "# nobody\n"] {
            let tokens = TokenList::parse(file.as_bytes()).unwrap();
            assert!(tokens.find(Fingerprint::of("")).is_none());
        }
    }

    #[test]
    fn a_senseless_line_is_named_by_its_number() {
        let good = line("a", "ci");
        for (bad, expected) in [
            ("ci".to_owned(), LineError::NoFingerprint),
            (good[7..].to_owned(), LineError::NoFingerprint),
            (good.replace("sha256", "sha512"), LineError::NoFingerprint),
            (Fingerprint::of("b").to_string(), LineError::NoName),
            (line("b", "-ci"), LineError::InvalidName(PrincipalError)),
            (line("b", "Zoë"), LineError::InvalidName(PrincipalError)),
            (line("b", &"n".repeat(65)), LineError::InvalidName(PrincipalError)),
            (line("b", "ci uplaod"), LineError::InvalidScope),
            (line("b", "ci upload nothing"), LineError::TooMuch),
            (line("a", "other"), LineError::Repeats(1)),
            ("gcsu_abc ci".to_owned(), LineError::TokenItself),
            (line("b", "gcsu_abc"), LineError::TokenItself),
        ] {
            assert_eq!(error(format!("{good}\n#\n{bad}\n").as_bytes()), (3, expected), "{bad}");
        }
        assert_eq!(error(b"\n\xff"), (2, LineError::NotText));
    }

    #[test]
    fn an_error_quotes_nothing() {
        let error = TokenList::parse(b"s3cret ci").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("s3cret"));
    }
}
