//! A token, and the fingerprint by which it is known.

use std::fmt;

use crate::redact::MARK;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

/// A secret that lets its bearer upload. It is shown by [`Token::reveal`] alone.
pub struct Token(String);

impl Token {
    /// A token that nobody can guess: 256 random bits.
    pub fn draw() -> Self {
        let bits: [u8; 32] = rand::random();
        Self(format!("{MARK}{}", URL_SAFE_NO_PAD.encode(bits)))
    }

    /// The token itself, for the one who is to have it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What a server may know of it.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// The SHA-256 of a token. A token is long and random, so that this does not tell it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of this token.
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token).into())
    }

    /// Reads what [`Display`](fmt::Display) writes; `None` for anything else.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("sha256:")?.as_bytes();
        let mut bytes = [0; 32];
        if digits.len() != 2 * bytes.len() {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |digit: u8| char::from(digit).to_digit(16);
            *byte = u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok()?;
        }
        Some(Self(bytes))
    }

    /// Compares in a time that does not depend on where they differ.
    pub(crate) fn same_as(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprint(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_marked_and_long_and_new() {
        let (one, other) = (Token::draw(), Token::draw());
        let bits = one.reveal().strip_prefix("gcsu_").unwrap();
        assert_eq!(URL_SAFE_NO_PAD.decode(bits).unwrap().len(), 32);
        assert_ne!(one.reveal(), other.reveal());
    }

    #[test]
    fn a_token_is_not_shown() {
        assert_eq!(format!("{:?}", Token::draw()), "Token(…)");
    }

    // FIPS 180-2, appendix B.1.
    #[test]
    fn a_fingerprint_is_the_sha_256() {
        assert_eq!(
            Fingerprint::of("abc").to_string(),
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        );
    }

    #[test]
    fn a_fingerprint_is_read_as_it_is_written() {
        let fingerprint = Token::draw().fingerprint();
        let text = fingerprint.to_string();
        assert_eq!(Fingerprint::parse(&text), Some(fingerprint));
        let upper = text.to_uppercase().replace("SHA256", "sha256");
        assert_eq!(Fingerprint::parse(&upper), Some(fingerprint));
        for wrong in [&text[1..], &text[..text.len() - 1], &format!("{text}0"), &text[7..], ""] {
            assert_eq!(Fingerprint::parse(wrong), None, "{wrong}");
        }
        assert_eq!(Fingerprint::parse(&text.replace(&text[10..12], "+1")), None);
    }
}
