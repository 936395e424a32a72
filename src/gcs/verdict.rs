//! Meaning of a response status: one table that decides which responses are retried and which are
//! final.
//!
//! The transient statuses are those of
//! <https://docs.cloud.google.com/storage/docs/retry-strategy#retryable>.

/// Kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// `POST …?uploadType=resumable`: opens a session.
    Start,
    /// `PUT {session}` with bytes.
    Send,
    /// `PUT {session}` with `bytes */{size}` and no body: queries the stored bytes.
    Query,
    /// `GET` of the object's metadata.
    GetMetadata,
}

/// Meaning of a status at a given step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The request succeeded.
    Success,
    /// The session is incomplete; `Range` gives the stored bytes.
    Persisted,
    /// The session no longer exists; a new one can be opened.
    SessionGone,
    /// An object with this name exists.
    AlreadyExists,
    /// The access token was rejected.
    Unauthorized,
    /// A retry may succeed.
    Transient,
    /// A retry cannot succeed.
    Refused,
    /// The protocol does not define this status at this step.
    Unexpected,
}

pub(super) fn verdict(step: Step, status: u16) -> Verdict {
    use Step::{GetMetadata, Query, Send, Start};
    match (status, step) {
        (200 | 201, _) => Verdict::Success,
        (308, Send | Query) => Verdict::Persisted,
        (401, _) => Verdict::Unauthorized,
        (404 | 410 | 499, Send | Query) => Verdict::SessionGone,
        (412, Start | Send | Query) => Verdict::AlreadyExists,
        (408 | 429 | 500 | 502 | 503 | 504, _) => Verdict::Transient,
        (400..=599, Start | Send | Query | GetMetadata) => Verdict::Refused,
        _ => Verdict::Unexpected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: [Step; 4] = [Step::Start, Step::Send, Step::Query, Step::GetMetadata];

    #[test]
    fn only_documented_statuses_are_transient() {
        for step in STEPS {
            let transient: Vec<_> =
                (0..1000).filter(|&status| verdict(step, status) == Verdict::Transient).collect();
            assert_eq!(transient, [408, 429, 500, 502, 503, 504], "{step:?}");
        }
    }

    #[test]
    fn session_gone_applies_only_to_session_requests() {
        for status in [404, 410, 499] {
            assert_eq!(verdict(Step::Start, status), Verdict::Refused);
            assert_eq!(verdict(Step::Send, status), Verdict::SessionGone);
            assert_eq!(verdict(Step::Query, status), Verdict::SessionGone);
            assert_eq!(verdict(Step::GetMetadata, status), Verdict::Refused);
        }
    }

    #[test]
    fn status_308_continues_only_session_requests() {
        assert_eq!(verdict(Step::Start, 308), Verdict::Unexpected);
        assert_eq!(verdict(Step::Send, 308), Verdict::Persisted);
        assert_eq!(verdict(Step::Query, 308), Verdict::Persisted);
        assert_eq!(verdict(Step::GetMetadata, 308), Verdict::Unexpected);
    }

    #[test]
    fn client_errors_are_refused() {
        for step in STEPS {
            for status in [400, 403, 405, 411, 413, 416, 418, 501, 505, 599] {
                assert_eq!(verdict(step, status), Verdict::Refused, "{step:?} {status}");
            }
        }
    }

    #[test]
    fn statuses_outside_the_protocol_are_unexpected() {
        for step in STEPS {
            for status in [0, 100, 199, 202, 204, 206, 299, 301, 302, 304, 307, 399, 600, 999] {
                assert_eq!(verdict(step, status), Verdict::Unexpected, "{step:?} {status}");
            }
        }
    }
}
