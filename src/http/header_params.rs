//! Header values with parameters, as in `Content-Type` and `Content-Disposition` (RFC 9110, section
//! 5.6.6).

/// Value with its parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ParameterizedValue {
    /// Text before the first semicolon, in lower case.
    pub(crate) value: String,
    parameters: Vec<(String, String)>,
}

impl ParameterizedValue {
    /// Parses a value; `None` if it is invalid or ambiguous.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (value, mut rest) = match text.find(';') {
            Some(at) => text.split_at(at),
            None => (text, ""),
        };
        let mut parsed = Self { value: trim(value).to_ascii_lowercase(), ..Self::default() };
        loop {
            rest = trim(rest);
            if rest.is_empty() {
                return Some(parsed);
            }
            rest = trim(rest.strip_prefix(';')?);
            if rest.is_empty() || rest.starts_with(';') {
                continue;
            }
            let (name, value, after) = parameter(rest)?;
            if parsed.get(&name).is_some() {
                return None;
            }
            parsed.parameters.push((name, value));
            rest = after;
        }
    }

    /// Returns the value of a parameter. `name` is in lower case.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut named = self.parameters.iter().filter(|(known, _)| known == name);
        named.next().map(|(_, value)| value.as_str())
    }
}

/// Bytes of a media type.
const MAX_MEDIA_TYPE: usize = 255;

/// Returns whether a text is a media type with valid parameters (RFC 9110, section 8.3.1).
pub(crate) fn is_media_type(text: &str) -> bool {
    let printable = |text: &str| text.bytes().all(|b| matches!(b, b' '..=b'~'));
    if text.len() > MAX_MEDIA_TYPE || !printable(text) {
        return false;
    }
    let parsed = ParameterizedValue::parse(text);
    let media_type = parsed.as_ref().and_then(|parsed| parsed.value.split_once('/'));
    media_type.is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype))
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// Parses a parameter: its name in lower case, its value, and the text behind it.
fn parameter(text: &str) -> Option<(String, String, &str)> {
    let (name, text) = text.split_once('=')?;
    let name = is_token(name).then(|| name.to_ascii_lowercase())?;
    match text.strip_prefix('"') {
        Some(text) => quoted(text).map(|(value, after)| (name, value, after)),
        None => {
            let (value, after) = text.split_at(text.find(';').unwrap_or(text.len()));
            let value = trim(value);
            // More than a token: clients write names of files without quotes.
            let plain = !value.is_empty() && !value.contains(['"', '\\', ' ', '\t']);
            plain.then(|| (name, value.to_owned(), after))
        }
    }
}

/// Parses the rest of a quoted string: its unescaped text, and the text behind it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            _ => value.push(character),
        }
    }
    None
}

/// RFC 9110, section 5.6.2.
fn is_token(text: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(legal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<(String, Vec<(String, String)>)> {
        ParameterizedValue::parse(text).map(|parsed| (parsed.value, parsed.parameters))
    }

    #[test]
    fn names_and_values_are_found_with_or_without_quotes() {
        for (text, value, parameters) in [
            ("text/plain", "text/plain", &[][..]),
            ("Text/HTML; Charset=UTF-8", "text/html", &[("charset", "UTF-8")]),
            (
                "form-data; name=\"a\";filename=\"b;\\\"c\\\\\"",
                "form-data",
                &[("name", "a"), ("filename", "b;\"c\\")],
            ),
            ("a ;\tb=c ; ; d=\"\" ;", "a", &[("b", "c"), ("d", "")]),
            ("attachment; filename=a(1).txt", "attachment", &[("filename", "a(1).txt")]),
            (
                "attachment; filename*=UTF-8''%c3%a4",
                "attachment",
                &[("filename*", "UTF-8''%c3%a4")],
            ),
        ] {
            let own = |pair: &(&str, &str)| (pair.0.to_owned(), pair.1.to_owned());
            let wanted = (value.to_owned(), parameters.iter().map(own).collect());
            assert_eq!(parsed(text), Some(wanted), "{text}");
        }
    }

    #[test]
    fn invalid_or_ambiguous_value_is_not_parsed() {
        for text in [
            "a; b",
            "a; =c",
            "a; b=",
            "a; b=\"c",
            "a; b=\"c\\",
            "a; b=\"c\"d",
            "a; b=c d",
            "a; b =c",
            "a; b=c; B=d",
            "a; b=c\"d\"",
        ] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }
}
