//! Removes access tokens of this server from text.

use std::borrow::Cow;

/// What every token of ours begins with, so that people and scanners know one when they see it.
pub(crate) const MARK: &str = "gcsu_";

/// The text with every token of ours left out: some clients put it where it does not belong, into
/// a query or a header of another purpose, from where it would come into a log line or an answer.
pub(crate) fn without_tokens(text: &str) -> Cow<'_, str> {
    if !text.contains(MARK) {
        return Cow::Borrowed(text);
    }
    let (first, rest) = text.split_once(MARK).unwrap_or((text, ""));
    let mut out = first.to_owned();
    for after in rest.split(MARK) {
        let ends = |c: char| !(c.is_ascii_alphanumeric() || "-_".contains(c));
        out.push_str(MARK);
        out.push('…');
        out.push_str(after.find(ends).map_or("", |end| &after[end..]));
    }
    Cow::Owned(out)
}

/// Whether there may be a token of ours in it.
pub(crate) fn has_token(text: &[u8]) -> bool {
    text.windows(MARK.len()).any(|part| part == MARK.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_left_out_wherever_they_stand() {
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
