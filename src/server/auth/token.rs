//! Tokens and their fingerprints.

use std::fmt;

use crate::redact::PREFIX;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

/// Secret that authorizes its bearer. Only [`Token::reveal`] shows it.
pub struct Token(String);

impl Token {
    /// Creates a token of 256 random bits.
    pub fn random() -> Self {
        let bits: [u8; 32] = rand::random();
        Self(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bits)))
    }

    /// Returns the token itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Returns the fingerprint, which a server may know.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// SHA-256 of a token. A token is long and random, so the fingerprint does not reveal it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Computes the fingerprint of a token.
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token).into())
    }

    /// Parses the form of [`Display`](fmt::Display); `None` for anything else.
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

    /// Compares in constant time.
    pub(crate) fn ct_eq(&self, other: &Self) -> Choice {
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
    fn token_has_the_prefix_and_256_random_bits() {
        let (one, other) = (Token::random(), Token::random());
        let bits = one.reveal().strip_prefix("gcsu_").unwrap();
        assert_eq!(URL_SAFE_NO_PAD.decode(bits).unwrap().len(), 32);
        assert_ne!(one.reveal(), other.reveal());
    }

    #[test]
    fn token_is_not_shown_by_debug() {
        assert_eq!(format!("{:?}", Token::random()), "Token(…)");
    }

    // FIPS 180-2, appendix B.1.
    #[test]
    fn fingerprint_is_the_sha_256() {
        assert_eq!(
            Fingerprint::of("abc").to_string(),
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        );
    }

    #[test]
    fn fingerprint_round_trips() {
        let fingerprint = Token::random().fingerprint();
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
