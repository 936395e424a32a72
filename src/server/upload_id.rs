//! Upload id: chosen by the server, so that no client can choose one or guess another's.

use std::fmt;

/// Upload id of 128 random bits, written as 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UploadId(u128);

impl UploadId {
    /// Creates a random id.
    pub(crate) fn random() -> Self {
        Self(rand::random())
    }

    /// Parses the form of [`Display`](fmt::Display); `None` for anything else.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        let digits = text.len() == 32 && text.bytes().all(digit);
        digits.then(|| u128::from_str_radix(text, 16).ok().map(Self))?
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upload_id_round_trips() {
        for id in [UploadId(0), UploadId(u128::MAX), UploadId::random()] {
            assert_eq!(UploadId::parse(&id.to_string()), Some(id));
        }
    }

    #[test]
    fn any_other_text_is_not_an_upload_id() {
        let (short, long) = ("0".repeat(31), "0".repeat(33));
        let (upper, signed) = ("F".repeat(32), format!("+{short}"));
        for text in ["", &short, &long, &upper, &signed, &"ä".repeat(16)] {
            assert_eq!(UploadId::parse(text), None, "{text}");
        }
    }
}
