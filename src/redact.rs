//! Masking of this server's tokens in text.

use std::borrow::Cow;

/// Prefix of every token, by which people and secret scanners recognize one.
pub(crate) const PREFIX: &str = "gcsu_";

/// Masks every token in a text. Some clients send it where it does not belong, in a query or another
/// header, from where it would get into a log line or a response.
pub(crate) fn without_tokens(text: &str) -> Cow<'_, str> {
    if !text.contains(PREFIX) {
        return Cow::Borrowed(text);
    }
    let (first, rest) = text.split_once(PREFIX).unwrap_or((text, ""));
    let mut out = first.to_owned();
    for after in rest.split(PREFIX) {
        let ends = |c: char| !(c.is_ascii_alphanumeric() || "-_".contains(c));
        out.push_str(PREFIX);
        out.push('…');
        out.push_str(after.find(ends).map_or("", |end| &after[end..]));
    }
    Cow::Owned(out)
}

/// Returns whether a text may contain a token.
pub(crate) fn contains_token(text: &[u8]) -> bool {
    text.windows(PREFIX.len()).any(|part| part == PREFIX.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_masked_wherever_they_occur() {
        let token = "gcsu_abc-DEF_123";
        for (text, shown) in [
            (format!("/a?token={token}&x=1"), "/a?token=gcsu_…&x=1"),
            (format!("{token} {token}"), "gcsu_… gcsu_…"),
            (format!("{token}{token}"), "gcsu_…gcsu_…"),
            (token.to_owned(), "gcsu_…"),
            ("plain".to_owned(), "plain"),
        ] {
            assert_eq!(without_tokens(&text), shown);
        }
    }
}
