//! `Prefer: respond-async` (RFC 7240): a response before the work is done.
//!
//! Unknown or malformed preferences are ignored, as the RFC requires.

/// Time of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Respond {
    /// After the work is done.
    WhenDone,
    /// As soon as the work is accepted.
    Immediately,
}

impl Respond {
    /// Reads the values of all `Prefer` headers of a request.
    pub(crate) fn from_headers(values: &[&str]) -> Self {
        let mut preferences = values.iter().flat_map(|value| preferences(value));
        if preferences.any(is_respond_async) { Self::Immediately } else { Self::WhenDone }
    }
}

/// Splits at commas outside of quotes.
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

/// An empty value counts as none (RFC 7240, section 2), and parameters are ignored.
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
    fn respond_async_is_found_among_other_preferences() {
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
            assert_eq!(Respond::from_headers(values), Respond::Immediately, "{values:?}");
        }
    }

    #[test]
    fn other_preferences_do_not_mean_respond_async() {
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
            assert_eq!(Respond::from_headers(values), Respond::WhenDone, "{values:?}");
        }
    }
}
