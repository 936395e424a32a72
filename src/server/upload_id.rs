//! The id under which an upload is asked for: the server's own, so that no client can choose one,
//! and nobody guess another's.

use std::fmt;

/// 128 random bits. Written as 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UploadId(u128);

impl UploadId {
    /// One that nobody else draws.
    pub(crate) fn draw() -> Self {
        Self(rand::random())
    }

    /// Reads the form that [`Display`](fmt::Display) writes; `None` for anything else.
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
    fn it_is_read_as_it_is_written() {
        for id in [UploadId(0), UploadId(u128::MAX), UploadId::draw()] {
            assert_eq!(UploadId::parse(&id.to_string()), Some(id));
        }
    }

    #[test]
    fn nothing_else_is_one() {
        let (short, long) = ("0".repeat(31), "0".repeat(33));
        let (upper, signed) = ("F".repeat(32), format!("+{short}"));
        for text in ["", &short, &long, &upper, &signed, &"ä".repeat(16)] {
            assert_eq!(UploadId::parse(text), None, "{text}");
        }
    }
}
