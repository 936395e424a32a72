//! Meaning of a response's status: the one table that says what is retried and what is final.
//!
//! The transient ones are those of
//! <https://docs.cloud.google.com/storage/docs/retry-strategy#retryable>.

/// Which request it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// `POST …?uploadType=resumable`: opens a session.
    Start,
    /// `PUT {session}` with bytes.
    Send,
    /// `PUT {session}` with `bytes */{size}` and no body: how much is persisted?
    Query,
    /// `GET` of the object's metadata.
    GetMetadata,
}

/// Meaning of a status in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The request succeeded.
    Success,
    /// The session goes on; `Range` says from where.
    Persisted,
    /// The session is no more: a new one may be started.
    SessionGone,
    /// An object of this name exists.
    AlreadyExists,
    /// The access token is not accepted.
    Unauthorized,
    /// It may work the next time.
    Transient,
    /// It never will.
    Refused,
    /// No answer that the protocol knows at this step.
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
    fn transient_is_what_cloud_storage_documents_as_such_and_nothing_else() {
        for step in STEPS {
            let transient: Vec<_> =
                (0..1000).filter(|&status| verdict(step, status) == Verdict::Transient).collect();
            assert_eq!(transient, [408, 429, 500, 502, 503, 504], "{step:?}");
        }
    }

    #[test]
    fn only_a_session_can_be_gone() {
        for status in [404, 410, 499] {
            assert_eq!(verdict(Step::Start, status), Verdict::Refused);
            assert_eq!(verdict(Step::Send, status), Verdict::SessionGone);
            assert_eq!(verdict(Step::Query, status), Verdict::SessionGone);
            assert_eq!(verdict(Step::GetMetadata, status), Verdict::Refused);
        }
    }

    #[test]
    fn only_a_session_goes_on() {
        assert_eq!(verdict(Step::Start, 308), Verdict::Unexpected);
        assert_eq!(verdict(Step::Send, 308), Verdict::Persisted);
        assert_eq!(verdict(Step::Query, 308), Verdict::Persisted);
        assert_eq!(verdict(Step::GetMetadata, 308), Verdict::Unexpected);
    }

    #[test]
    fn refusals_are_final() {
        for step in STEPS {
            for status in [400, 403, 405, 411, 413, 416, 418, 501, 505, 599] {
                assert_eq!(verdict(step, status), Verdict::Refused, "{step:?} {status}");
            }
        }
    }

    #[test]
    fn what_the_protocol_does_not_know_is_nonsense() {
        for step in STEPS {
            for status in [0, 100, 199, 202, 204, 206, 299, 301, 302, 304, 307, 399, 600, 999] {
                assert_eq!(verdict(step, status), Verdict::Unexpected, "{step:?} {status}");
            }
        }
    }
}
