//! A header's value with parameters, as `Content-Type` and `Content-Disposition` have them
//! (RFC 9110, section 5.6.6).

/// A value, and what is said of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parameters {
    /// What stands before the first semicolon, in lower case.
    pub(crate) value: String,
    parameters: Vec<(String, String)>,
}

impl Parameters {
    /// Reads a value; `None` if two parties could read it in two ways.
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

    /// The value of the parameter of this name, which is in lower case.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut named = self.parameters.iter().filter(|(known, _)| known == name);
        named.next().map(|(_, value)| value.as_str())
    }
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// A parameter's name in lower case, its value, and what follows.
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

/// What is between quotes, with its escapes undone, and what follows them.
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
pub(crate) fn is_token(text: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(legal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<(String, Vec<(String, String)>)> {
        Parameters::parse(text).map(|parsed| (parsed.value, parsed.parameters))
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
    fn what_could_be_read_in_two_ways_is_not_read() {
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
