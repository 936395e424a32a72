//! What a request announces about its body, and what that means for an API that takes none.
//!
//! A body that tiny_http has not read yet is a trap: dropping its reader waits for the rest of
//! it, in the thread that drops, and allocates as many bytes as are still to come. [`Reader`]
//! says whether that is so. [`Body`] says what becomes of the request: only one whose body is in
//! memory already is served, and the body ignored; any other is refused.

use tiny_http::{Header, Request};

use super::problem::{self, Problem};

/// tiny_http reads bodies up to this length on the connection's own thread, before it hands the
/// request out.
const READ_AHEAD: u64 = 1024;

/// What it costs to drop the reader that tiny_http made for a request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// Nothing.
    Harmless,
    /// It waits for this many bytes, and allocates them.
    Waits(u64),
}

impl Reader {
    /// By the rules of tiny_http 0.12, whatever else the headers may mean.
    pub(super) fn of(request: &Request) -> Self {
        let Some(length) = request.body_length() else { return Self::Harmless };
        let expects = values(request.headers(), "Expect").next().is_some();
        match length as u64 {
            0 => Self::Harmless,
            length if length <= READ_AHEAD && !expects => Self::Harmless,
            length => Self::Waits(length),
        }
    }
}

/// What the headers say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// There is none, or it is short and has been read: dropping its reader does nothing.
    InMemory,
    /// It is still to come.
    Unread(Unread),
}

/// A body that is still to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// This many bytes, too many to be read ahead.
    Long(u64),
    /// This many bytes, which the client holds back until it is told to go on.
    Awaiting(u64),
    /// Of unknown length.
    Chunked,
    /// The headers contradict each other or make no sense. Where a body ends on which two parties
    /// disagree, the next request can be forged (RFC 9112, 11.2).
    Ambiguous,
}

impl Body {
    pub(super) fn announced_by(headers: &[Header]) -> Self {
        let lengths: Vec<&str> = values(headers, "Content-Length").collect();
        let chunked = values(headers, "Transfer-Encoding").next().is_some();
        let awaiting = values(headers, "Expect").next().is_some();
        match (lengths.as_slice(), chunked) {
            ([], false) => Self::InMemory,
            ([], true) => Self::Unread(Unread::Chunked),
            ([length], false) => Self::of_length(length, awaiting),
            _ => Self::Unread(Unread::Ambiguous),
        }
    }

    fn of_length(text: &str, awaiting: bool) -> Self {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        match (digits, text.parse().unwrap_or(u64::MAX)) {
            (false, _) => Self::Unread(Unread::Ambiguous),
            (true, 0) => Self::InMemory,
            (true, length) if awaiting => Self::Unread(Unread::Awaiting(length)),
            (true, length) if length <= READ_AHEAD => Self::InMemory,
            (true, length) => Self::Unread(Unread::Long(length)),
        }
    }
}

fn values<'a>(headers: &'a [Header], name: &'static str) -> impl Iterator<Item = &'a str> {
    headers.iter().filter(move |header| header.field.equiv(name)).map(|h| h.value.as_str())
}

impl Unread {
    pub(super) fn problem(self) -> Problem {
        match self {
            Self::Long(_) => Problem::new(
                &problem::BODY_TOO_LARGE,
                format!("No request here has a body; one of up to {READ_AHEAD} bytes is ignored."),
            )
            .with("maximum", READ_AHEAD),
            Self::Awaiting(_) => Problem::new(
                &problem::EXPECTATION_FAILED,
                "No request here has a body: send it without one, and without Expect.",
            ),
            Self::Chunked => Problem::new(
                &problem::CHUNKED_BODY,
                "No request here has a body: send it without one, and without Transfer-Encoding.",
            ),
            Self::Ambiguous => Problem::new(
                &problem::AMBIGUOUS_BODY,
                "Content-Length must be one whole number, and not come with Transfer-Encoding.",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announced(lines: &[&str]) -> Body {
        let headers: Vec<Header> = lines.iter().map(|line| line.parse().unwrap()).collect();
        Body::announced_by(&headers)
    }

    #[test]
    fn none_or_a_short_one_is_in_memory() {
        for lines in [
            &[][..],
            &["Content-Length: 0"],
            &["content-length: 1024"],
            &["Content-Length: 0", "Expect: 100-continue"],
            &["Expect: 100-continue"],
        ] {
            assert_eq!(announced(lines), Body::InMemory, "{lines:?}");
        }
    }

    #[test]
    fn whatever_is_not_in_memory_is_known_to_be_unread() {
        for (lines, unread) in [
            (&["Content-Length: 1025"][..], Unread::Long(1025)),
            (&["Content-Length: 30000000000"], Unread::Long(30_000_000_000)),
            (&["Content-Length: 18446744073709551616"], Unread::Long(u64::MAX)),
            (&["Content-Length: 1", "Expect: 100-continue"], Unread::Awaiting(1)),
            (&["Transfer-Encoding: chunked"], Unread::Chunked),
            (&["Transfer-Encoding: identity"], Unread::Chunked),
            (&["Transfer-Encoding: chunked", "Content-Length: 5"], Unread::Ambiguous),
            (&["Content-Length: 5", "Content-Length: 5000"], Unread::Ambiguous),
            (&["Content-Length: +5000"], Unread::Ambiguous),
            (&["Content-Length: -1"], Unread::Ambiguous),
            (&["Content-Length: abc"], Unread::Ambiguous),
            (&["Content-Length:"], Unread::Ambiguous),
        ] {
            assert_eq!(announced(lines), Body::Unread(unread), "{lines:?}");
        }
    }
}
