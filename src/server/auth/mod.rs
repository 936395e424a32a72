//! Who may upload, and who may look: bearer tokens (RFC 6750), of which only SHA-256 fingerprints are known here.
//!
//! What a client presents is hashed, looked up and forgotten: it gets into no log line, no answer
//! and no error. Without a file of tokens everybody may upload.

mod token;
mod token_file;
mod token_list;

use std::path::Path;
use std::sync::Arc;

pub use token::{Fingerprint, Token};
use token_file::TokenFile;
pub use token_file::TokenFileError;
pub(crate) use token_list::Tokens;
pub use token_list::{Caller, CallerError, LineError, TokensError};
use token_list::{Entry, Grant};

use crate::server::problem::{self, Problem};

/// The challenge of every refusal (RFC 6750, section 3).
const CHALLENGE: &str = "Bearer realm=\"gcs-uploader\"";

/// The longest token that is looked at, in bytes. Those that `gcs-uploader token new` makes have 48.
const LONGEST: usize = 512;

/// Who may upload.
#[derive(Clone, Debug, Default)]
pub struct Access(Option<Arc<TokenFile>>);

impl Access {
    /// Everybody may.
    pub fn open() -> Self {
        Self(None)
    }

    /// Those whose tokens the file at `path` names, as it is at the time of each upload.
    ///
    /// # Errors
    /// When the file cannot be read, or makes no sense.
    pub fn by_file(path: &Path) -> Result<Self, TokenFileError> {
        Ok(Self(Some(Arc::new(TokenFile::open(path)?))))
    }

    /// Whether everybody may.
    pub(crate) fn is_open(&self) -> bool {
        self.0.is_none()
    }

    /// Who uploads, by the values of all `Authorization` headers of the request; `None` where
    /// everybody may.
    pub(crate) fn uploader(&self, authorization: &[&str]) -> Result<Option<Caller>, Problem> {
        match &self.0 {
            None => Ok(None),
            Some(file) => uploader_among(&file.tokens(), authorization).map(Some),
        }
    }

    /// `Ok` for whoever may look at the uploads: who may upload, and those whose tokens are for
    /// that alone.
    pub(crate) fn viewer(&self, authorization: &[&str]) -> Result<(), Problem> {
        match &self.0 {
            None => Ok(()),
            Some(file) => viewer_among(&file.tokens(), authorization),
        }
    }
}

fn uploader_among(tokens: &Tokens, authorization: &[&str]) -> Result<Caller, Problem> {
    match presented_among(tokens, authorization)? {
        Entry { caller, grant: Grant::Upload, .. } => Ok(caller.clone()),
        Entry { caller, grant: Grant::View | Grant::Nothing, .. } => {
            Err(not_for_this(caller, "upload"))
        }
    }
}

fn viewer_among(tokens: &Tokens, authorization: &[&str]) -> Result<(), Problem> {
    match presented_among(tokens, authorization)? {
        Entry { grant: Grant::Upload | Grant::View, .. } => Ok(()),
        Entry { caller, grant: Grant::Nothing, .. } => Err(not_for_this(caller, "view")),
    }
}

fn presented_among<'a>(tokens: &'a Tokens, authorization: &[&str]) -> Result<&'a Entry, Problem> {
    let presented = bearer(authorization)?;
    tokens.find(Fingerprint::of(presented)).ok_or_else(unknown)
}

/// The token that the headers present.
pub(crate) fn bearer<'a>(authorization: &[&'a str]) -> Result<&'a str, Problem> {
    let credentials = match authorization {
        [] => return Err(missing()),
        [one] => one.trim(),
        _ => return Err(repeated()),
    };
    let (scheme, token) = credentials.split_once(' ').unwrap_or((credentials, ""));
    let token = token.trim_start_matches(' ');
    match scheme.eq_ignore_ascii_case("Bearer") {
        false => Err(missing()),
        true if token.is_empty() || token.len() > LONGEST => Err(unknown()),
        true => Ok(token),
    }
}

fn missing() -> Problem {
    let detail = "This needs a token: send Authorization: Bearer and the token.";
    Problem::new(&problem::UNAUTHORIZED, detail).with_header("WWW-Authenticate", CHALLENGE)
}

fn unknown() -> Problem {
    let challenge = format!("{CHALLENGE}, error=\"invalid_token\"");
    let detail = "The token that was sent is not known here: it is wrong, or was withdrawn.";
    Problem::new(&problem::UNAUTHORIZED, detail).with_header("WWW-Authenticate", challenge)
}

fn repeated() -> Problem {
    let challenge = format!("{CHALLENGE}, error=\"invalid_request\"");
    let detail = "Authorization is there more than once: send one.";
    Problem::new(&problem::BAD_AUTHORIZATION, detail).with_header("WWW-Authenticate", challenge)
}

/// `scope` is the word in the file of tokens that would do.
fn not_for_this(caller: &Caller, scope: &str) -> Problem {
    let challenge = format!("{CHALLENGE}, error=\"insufficient_scope\", scope=\"{scope}\"");
    let detail = format!("The token of {caller} is known, but may not {scope}.");
    Problem::new(&problem::FORBIDDEN, detail).with_header("WWW-Authenticate", challenge)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> Tokens {
        let line = |token, rest| format!("{} {rest}\n", Fingerprint::of(token));
        let file = [
            line("one", "ci"),
            line("two", "ci upload"),
            line("three", "old nothing"),
            line("four", "wall view"),
        ];
        Tokens::parse(file.concat().as_bytes()).unwrap()
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
    fn a_token_stands_for_its_name() {
        for header in ["Bearer one", "bearer two", "BEARER  one", " Bearer one "] {
            assert_eq!(uploader_among(&tokens(), &[header]).unwrap().as_str(), "ci", "{header}");
        }
    }

    #[test]
    fn who_may_upload_may_look_and_so_may_who_may_do_that_alone() {
        let may_look =
            |header| viewer_among(&tokens(), &[header]).map_err(|problem| problem.status());
        assert_eq!(["Bearer one", "Bearer four"].map(may_look), [Ok(()); 2]);
        assert_eq!(["Bearer three", "Bearer five"].map(may_look), [Err(403), Err(401)]);
        let (status, text) = refusal(&["Bearer four"]);
        assert_eq!(status, 403);
        assert!(text.contains("scope=\\\"upload\\\"") && text.contains("of wall"), "{text}");
    }

    #[test]
    fn without_a_token_one_is_asked_for() {
        for headers in [&[][..], &["Basic b25lOg=="], &["one"], &[""]] {
            let (status, text) = refusal(headers);
            assert_eq!(status, 401);
            assert!(text.contains("realm") && !text.contains("error="), "{headers:?}: {text}");
        }
    }

    #[test]
    fn a_token_that_is_not_in_the_file_is_refused() {
        let long = format!("Bearer {}", "x".repeat(LONGEST + 1));
        for header in ["Bearer s3cret", "Bearer one two", "Bearer", "Bearer ", "Bearer ONE", &long]
        {
            let (status, text) = refusal(&[header]);
            assert_eq!(status, 401);
            assert!(text.contains("invalid_token"), "{header}: {text}");
        }
    }

    #[test]
    fn a_token_that_may_do_nothing_is_told_so() {
        let (status, text) = refusal(&["Bearer three"]);
        assert_eq!(status, 403);
        assert!(text.contains("insufficient_scope") && text.contains("of old"), "{text}");
    }

    #[test]
    fn two_credentials_are_one_too_many() {
        let (status, text) = refusal(&["Bearer one", "Bearer one"]);
        assert_eq!(status, 400);
        assert!(text.contains("invalid_request"), "{text}");
    }
}
