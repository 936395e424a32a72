//! Authentication with bearer tokens (RFC 6750), of which only SHA-256 fingerprints are known here.
//!
//! The token that a client presents is hashed, looked up and dropped: it does not get into any log
//! line, response or error. Without a token file, anyone may upload.

mod token;
mod token_file;
mod token_list;

use std::path::Path;
use std::sync::Arc;

pub use token::{Fingerprint, Token};
use token_file::TokenFile;
pub use token_file::TokenFileError;
pub(crate) use token_list::TokenList;
use token_list::{Entry, Scope};
pub use token_list::{LineError, Principal, PrincipalError, TokenListError};

use crate::server::problem::{self, Problem};

/// Challenge of every refusal (RFC 6750, section 3).
const CHALLENGE: &str = "Bearer realm=\"gcs-uploader\"";

/// Bytes of a token that is looked up. Tokens of `gcs-uploader token new` have 48.
const MAX_TOKEN: usize = 512;

/// Authentication of clients.
#[derive(Clone, Debug, Default)]
pub struct Authenticator(Option<Arc<TokenFile>>);

impl Authenticator {
    /// Lets anyone upload.
    pub fn open() -> Self {
        Self(None)
    }

    /// Requires a token from the file at `path`, which is reloaded when it changes.
    ///
    /// # Errors
    /// When the file cannot be read, or is invalid.
    pub fn by_file(path: &Path) -> Result<Self, TokenFileError> {
        Ok(Self(Some(Arc::new(TokenFile::open(path)?))))
    }

    /// Returns whether anyone may upload.
    pub(crate) fn is_open(&self) -> bool {
        self.0.is_none()
    }

    /// Authenticates an upload by the values of all `Authorization` headers. Returns the principal;
    /// `None` where tokens are not required.
    pub(crate) fn uploader(&self, authorization: &[&str]) -> Result<Option<Principal>, Problem> {
        match &self.0 {
            None => Ok(None),
            Some(file) => uploader_among(&file.tokens(), authorization).map(Some),
        }
    }

    /// Authenticates a client that lists uploads: any token with the scope `upload` or `view`.
    pub(crate) fn viewer(&self, authorization: &[&str]) -> Result<(), Problem> {
        match &self.0 {
            None => Ok(()),
            Some(file) => viewer_among(&file.tokens(), authorization),
        }
    }
}

fn uploader_among(tokens: &TokenList, authorization: &[&str]) -> Result<Principal, Problem> {
    match presented_among(tokens, authorization)? {
        Entry { principal, scope: Scope::Upload, .. } => Ok(principal.clone()),
        Entry { principal, scope: Scope::View | Scope::Nothing, .. } => {
            Err(not_for_this(principal, "upload"))
        }
    }
}

fn viewer_among(tokens: &TokenList, authorization: &[&str]) -> Result<(), Problem> {
    match presented_among(tokens, authorization)? {
        Entry { scope: Scope::Upload | Scope::View, .. } => Ok(()),
        Entry { principal, scope: Scope::Nothing, .. } => Err(not_for_this(principal, "view")),
    }
}

fn presented_among<'a>(
    tokens: &'a TokenList,
    authorization: &[&str],
) -> Result<&'a Entry, Problem> {
    let presented = bearer(authorization)?;
    tokens.find(Fingerprint::of(presented)).ok_or_else(unknown)
}

/// Returns the token in the headers.
pub(crate) fn bearer<'a>(authorization: &[&'a str]) -> Result<&'a str, Problem> {
    let credentials = match authorization {
        [] => return Err(missing()),
        [one] => one.trim(),
        _ => return Err(repeated()),
    };
    let (scheme, token) = credentials.split_once(' ').unwrap_or((credentials, ""));
    let token = token.trim_start_matches(' ');
    if !scheme.eq_ignore_ascii_case("Bearer") {
        return Err(missing());
    }
    if token.is_empty() || token.len() > MAX_TOKEN { Err(unknown()) } else { Ok(token) }
}

fn missing() -> Problem {
    let detail = "Authentication required: send \"Authorization: Bearer TOKEN\".";
    Problem::new(&problem::UNAUTHORIZED, detail).with_header("WWW-Authenticate", CHALLENGE)
}

fn unknown() -> Problem {
    let challenge = format!("{CHALLENGE}, error=\"invalid_token\"");
    let detail = "Unknown token: it is mistyped or has been revoked.";
    Problem::new(&problem::UNAUTHORIZED, detail).with_header("WWW-Authenticate", challenge)
}

fn repeated() -> Problem {
    let challenge = format!("{CHALLENGE}, error=\"invalid_request\"");
    let detail = "Authorization was sent more than once: send exactly one.";
    Problem::new(&problem::BAD_AUTHORIZATION, detail).with_header("WWW-Authenticate", challenge)
}

/// `scope` is the scope that is required.
fn not_for_this(principal: &Principal, scope: &str) -> Problem {
    let challenge = format!("{CHALLENGE}, error=\"insufficient_scope\", scope=\"{scope}\"");
    let detail = format!("The token of {principal} does not have the scope {scope}.");
    Problem::new(&problem::FORBIDDEN, detail).with_header("WWW-Authenticate", challenge)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> TokenList {
        let line = |token, rest| format!("{} {rest}\n", Fingerprint::of(token));
        let file = [
            line("one", "ci"),
            line("two", "ci upload"),
            line("three", "old nothing"),
            line("four", "wall view"),
        ];
        TokenList::parse(file.concat().as_bytes()).unwrap()
    }

    fn refusal(authorization: &[&str]) -> (u16, String) {
        let problem = uploader_among(&tokens(), authorization).unwrap_err();
        let text = format!("{problem:?}");
        for token in ["one", "two", "three", "s3cret"] {
            assert!(!text.contains(&format!("{token}\"")), "{text}");
        }
        (problem.status(), text)
    }

    #[test]
    fn token_authenticates_its_principal() {
        for header in ["Bearer one", "bearer two", "BEARER  one", " Bearer one "] {
            assert_eq!(uploader_among(&tokens(), &[header]).unwrap().as_str(), "ci", "{header}");
        }
    }

    #[test]
    fn scope_upload_includes_view() {
        let can_view =
            |header| viewer_among(&tokens(), &[header]).map_err(|problem| problem.status());
        assert_eq!(["Bearer one", "Bearer four"].map(can_view), [Ok(()); 2]);
        assert_eq!(["Bearer three", "Bearer five"].map(can_view), [Err(403), Err(401)]);
        let (status, text) = refusal(&["Bearer four"]);
        assert_eq!(status, 403);
        assert!(text.contains("scope=\\\"upload\\\"") && text.contains("of wall"), "{text}");
    }

    #[test]
    fn missing_token_is_challenged() {
        for headers in [&[][..], &["Basic b25lOg=="], &["one"], &[""]] {
            let (status, text) = refusal(headers);
            assert_eq!(status, 401);
            assert!(text.contains("realm") && !text.contains("error="), "{headers:?}: {text}");
        }
    }

    #[test]
    fn unknown_token_is_refused() {
        let long = format!("Bearer {}", "x".repeat(MAX_TOKEN + 1));
        for header in ["Bearer s3cret", "Bearer one two", "Bearer", "Bearer ", "Bearer ONE", &long]
        {
            let (status, text) = refusal(&[header]);
            assert_eq!(status, 401);
            assert!(text.contains("invalid_token"), "{header}: {text}");
        }
    }

    #[test]
    fn token_without_a_scope_is_refused() {
        let (status, text) = refusal(&["Bearer three"]);
        assert_eq!(status, 403);
        assert!(text.contains("insufficient_scope") && text.contains("of old"), "{text}");
    }

    #[test]
    fn repeated_authorization_is_refused() {
        let (status, text) = refusal(&["Bearer one", "Bearer one"]);
        assert_eq!(status, 400);
        assert!(text.contains("invalid_request"), "{text}");
    }
}
