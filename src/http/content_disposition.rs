//! `Content-Disposition`: the name of a file in a request (RFC 6266) or in a part of a form (RFC 7578,
//! section 4.2).

use percent_encoding::percent_decode_str;

use crate::http::header_params::ParameterizedValue;

/// Parsed `Content-Disposition`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ContentDisposition {
    /// File name as the client sent it: not cleaned, possibly empty. Only files have one.
    pub(crate) file_name: Option<String>,
}

impl ContentDisposition {
    /// Parses a value; `None` if it is invalid.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let parameters = ParameterizedValue::parse(text)?;
        let extended = parameters.get("filename*").and_then(extended);
        let file_name = extended.or_else(|| parameters.get("filename").map(str::to_owned));
        (!parameters.value.is_empty()).then_some(Self { file_name })
    }
}

/// Decodes an extended value (RFC 8187, section 3.2); `None` if its character set is unknown or the
/// bytes are not valid in it: then the plain value counts (RFC 6266, section 4.3).
fn extended(value: &str) -> Option<String> {
    let (charset, rest) = value.split_once('\'')?;
    let (_language, encoded) = rest.split_once('\'')?;
    let bytes = percent_decode_str(encoded);
    match charset.to_ascii_lowercase().as_str() {
        "utf-8" => bytes.decode_utf8().ok().map(|text| text.into_owned()),
        "iso-8859-1" => Some(bytes.map(char::from).collect()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Option<String> {
        ContentDisposition::parse(text).expect(text).file_name
    }

    #[test]
    fn extended_file_name_takes_precedence() {
        for (text, is) in [
            ("attachment; filename=report.pdf", "report.pdf"),
            ("attachment; FileName=\"a b.pdf\"", "a b.pdf"),
            ("form-data; name=\"file\"; filename=\"ä.txt\"", "ä.txt"),
            ("attachment; filename=\"EURO rates\"; filename*=utf-8''%e2%82%ac%20rates", "€ rates"),
            ("attachment; filename*=UTF-8'en'%c2%a3; filename=x", "£"),
            ("attachment; filename*=iso-8859-1''%A3", "£"),
            ("attachment; filename*=utf-8''%ff; filename=x", "x"),
            ("attachment; filename*=utf-7''a; filename=x", "x"),
            ("attachment; filename*=a; filename=x", "x"),
            ("form-data; filename=\"\"", ""),
        ] {
            assert_eq!(name(text).as_deref(), Some(is), "{text}");
        }
    }

    #[test]
    fn file_name_is_missing_without_a_file() {
        for text in ["attachment", "inline", "form-data; name=\"size\"", "form-data; name=filename"]
        {
            assert_eq!(name(text), None, "{text}");
        }
        for text in ["", ";filename=x", "attachment; filename=\"x", "attachment; filename=a b"] {
            assert_eq!(ContentDisposition::parse(text), None, "{text}");
        }
    }
}
