//! `Prefer: respond-async` (RFC 7240): a client that will not wait for its upload to end.
//!
//! What is not understood in the header is left unsaid, as the RFC has it: a preference is no demand.

/// When a client wants its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answered {
    /// Once it is known what became of the upload.
    AtTheEnd,
    /// As soon as the upload is taken in.
    AtOnce,
}

impl Answered {
    /// By the values of all `Prefer` headers of a request.
    pub(crate) fn of(values: &[&str]) -> Self {
        let mut preferences = values.iter().flat_map(|value| preferences(value));
        match preferences.any(is_respond_async) {
            true => Self::AtOnce,
            false => Self::AtTheEnd,
        }
    }
}

/// What stands between the commas that are in no quotes.
fn preferences(value: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    value.split(move |character| {
        match (character, quoted, escaped) {
            ('\\', true, false) => escaped = true,
            ('"', _, false) => quoted = !quoted,
            _ => escaped = false,
        }
        character == ',' && !quoted
    })
}

/// A value of no characters is as good as none (RFC 7240, section 2), and parameters say nothing.
fn is_respond_async(preference: &str) -> bool {
    let preference = preference.split(';').next().unwrap_or_default();
    let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
    let blank = [' ', '\t'];
    name.trim_matches(blank).eq_ignore_ascii_case("respond-async")
        && matches!(value.trim_matches(blank), "" | "\"\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_found_among_others() {
        for values in [
            &["respond-async"][..],
            &["Respond-Async"],
            &[" respond-async "],
            &["respond-async, wait=10"],
            &["wait=10,respond-async; foo=\"a,b\""],
            &["return=minimal", "respond-async"],
            &["respond-async=\"\""],
            &["foo=\"a, \\\" b\", respond-async"],
        ] {
            assert_eq!(Answered::of(values), Answered::AtOnce, "{values:?}");
        }
    }

    #[test]
    fn nothing_else_is_taken_for_it() {
        for values in [
            &[][..],
            &[""],
            &["respond-sync"],
            &["respond-async=no"],
            &["foo=\"a, respond-async, b\""],
            &["foo=\"a\\\", respond-async"],
            &["foo; respond-async"],
            &["respond-async respond-async"],
        ] {
            assert_eq!(Answered::of(values), Answered::AtTheEnd, "{values:?}");
        }
    }
}
