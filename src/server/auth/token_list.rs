//! The list of tokens: a fingerprint, a name, and what the token is for, on a line each.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::fmt;
use std::str::{self, FromStr};
use std::sync::Arc;

use thiserror::Error;

use super::token::Fingerprint;
use crate::redact::has_token;

/// The longest name of a token, in characters.
const LONGEST_NAME: usize = 64;

/// Whose token it is: 1 to 64 characters of `A-Z a-z 0-9 . _ -`, of which the first is a letter or
/// a digit. Safe in a log line and a metadata value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller(Arc<str>);

/// Why a text is no [`Caller`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "a token's name has 1 to {LONGEST_NAME} letters, digits, dots, dashes and underscores, and begins with \
     a letter or a digit"
)]
pub struct CallerError;

impl Caller {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Caller {
    type Err = CallerError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        let right = (1..=LONGEST_NAME).contains(&text.len())
            && text.bytes().all(legal)
            && text.as_bytes()[0].is_ascii_alphanumeric()
            && !has_token(text.as_bytes());
        if right { Ok(Self(text.into())) } else { Err(CallerError) }
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grant {
    /// Of uploads, and of looking at them.
    Upload,
    /// Of looking at uploads alone.
    View,
    /// It is known, so that its use shows in the log, and good for nothing: on its way out.
    Nothing,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    fingerprint: Fingerprint,
    pub(crate) caller: Caller,
    pub(crate) grant: Grant,
}

/// All tokens that are known. Several may have the same name, as while one replaces another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tokens(Vec<Entry>);

/// Why a file is no list of tokens. Quotes nothing of it: there may be a token in it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}: {error}")]
pub struct TokensError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub error: LineError,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum LineError {
    #[error("is no UTF-8 text")]
    NotText,
    #[error(
        "holds a token itself: write its SHA-256 instead, make a new one with gcs-uploader token new, \
         and take this one to be known to others"
    )]
    TokenItself,
    #[error("does not begin with sha256: and 64 hexadecimal digits")]
    NoFingerprint,
    #[error("has no name: write sha256:HEX NAME")]
    NoName,
    #[error("{0}")]
    BadName(#[from] CallerError),
    #[error("has something else than upload, view or nothing after the name")]
    BadGrant,
    #[error("has more than a SHA-256, a name and upload, view or nothing")]
    TooMuch,
    #[error("repeats the SHA-256 of line {0}")]
    Repeats(usize),
}

impl Tokens {
    /// Reads a list: on each line `sha256:HEX NAME`, and `view` or `nothing` where it is not
    /// `upload`. Empty lines and those that begin with `#` say nothing.
    pub(crate) fn parse(file: &[u8]) -> Result<Self, TokensError> {
        let mut entries = Vec::new();
        let mut lines = HashMap::new();
        for (line, text) in (1..).zip(file.split(|&b| b == b'\n')) {
            let failed = |error| TokensError { line, error };
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
            if bool::from(entry.fingerprint.same_as(&fingerprint)) {
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
    if has_token(line.as_bytes()) {
        return Err(LineError::TokenItself);
    }
    let mut words = line.split_ascii_whitespace();
    let fingerprint = words.next().and_then(Fingerprint::parse);
    let fingerprint = fingerprint.ok_or(LineError::NoFingerprint)?;
    let caller = words.next().ok_or(LineError::NoName)?.parse()?;
    let grant = match words.next() {
        None | Some("upload") => Grant::Upload,
        Some("view") => Grant::View,
        Some("nothing") => Grant::Nothing,
        Some(_) => return Err(LineError::BadGrant),
    };
    match words.next() {
        None => Ok(Some(Entry { fingerprint, caller, grant })),
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
        let error = Tokens::parse(file).unwrap_err();
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
        let tokens = Tokens::parse(file.as_bytes()).unwrap();
        let found =
            |token| tokens.find(Fingerprint::of(token)).map(|e| (e.caller.as_str(), e.grant));
        assert_eq!(found("a"), Some(("ci", Grant::Upload)));
        assert_eq!(found("b"), Some(("batch", Grant::Upload)));
        assert_eq!(found("c"), Some(("old", Grant::Nothing)));
        assert_eq!(found("d"), Some(("wall", Grant::View)));
        assert_eq!(found("e"), None);
    }

    #[test]
    fn a_name_may_have_several_tokens() {
        let file = format!("{}\n{}", line("old", "ci"), line("new", "ci"));
        assert_eq!(Tokens::parse(file.as_bytes()).unwrap().len(), 2);
    }

    #[test]
    fn an_empty_list_lets_nobody_in() {
        for file in ["", "\n", "# nobody\n"] {
            let tokens = Tokens::parse(file.as_bytes()).unwrap();
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
            (line("b", "-ci"), LineError::BadName(CallerError)),
            (line("b", "Zoë"), LineError::BadName(CallerError)),
            (line("b", &"n".repeat(65)), LineError::BadName(CallerError)),
            (line("b", "ci uplaod"), LineError::BadGrant),
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
        let error = Tokens::parse(b"s3cret ci").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("s3cret"));
    }
}
