//! Byte sizes in text: `1048576`, `1MiB`, `5GB`.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(u64);

/// Error for a text that is not a valid [`ByteSize`]. The message says what to write.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "invalid size {text:?}: use bytes (1048576) or a whole number with a unit (64KiB, 1MiB, 5GB)"
)]
pub struct ByteSizeError {
    text: String,
}

/// Units and their sizes in bytes, in ascending order of decimal and then of binary units.
const UNITS: [(&str, u64); 9] = [
    ("B", 1),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

impl ByteSize {
    /// Creates a size of this many bytes.
    pub const fn bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// Creates a size of this many times 1024 × 1024 bytes.
    pub const fn mebibytes(mebibytes: u64) -> Self {
        Self(mebibytes << 20)
    }

    /// Returns the number of bytes.
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl FromStr for ByteSize {
    type Err = ByteSizeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).ok_or_else(|| ByteSizeError { text: text.chars().take(40).collect() })
    }
}

fn parse(text: &str) -> Option<ByteSize> {
    let digits = text.find(|c: char| !c.is_ascii_digit());
    let (number, unit) = text.split_at(digits.unwrap_or(text.len()));
    let scale = match unit {
        "" => 1,
        _ => UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?.1,
    };
    number.parse::<u64>().ok()?.checked_mul(scale).map(ByteSize)
}

/// Uses the largest unit that gives a whole number, so that nothing is rounded.
impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |&(_, scale): &(&str, u64)| self.0 >= scale && self.0.is_multiple_of(scale);
        match UNITS.into_iter().rev().find(whole) {
            Some((unit, scale)) if scale > 1 => write!(f, "{}{unit}", self.0 / scale),
            _ => write!(f, "{}B", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bytes_and_units_are_parsed() {
        for (text, bytes) in [
            ("0", 0),
            ("1048576", 1 << 20),
            ("1B", 1),
            ("64KiB", 64 << 10),
            ("64kib", 64 << 10),
            ("1MiB", 1 << 20),
            ("5GB", 5_000_000_000),
            ("2TiB", 2 << 40),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
    }

    #[test]
    fn invalid_sizes_are_rejected_with_an_example() {
        for text in [
            "",
            " ",
            "-1",
            "+1",
            "1.5MiB",
            "1 MiB",
            "MiB",
            "1XB",
            "1k",
            "0x10",
            "١",
            "1MiBB",
            "18446744073709551616",
            "16777216TiB",
        ] {
            let error = text.parse::<ByteSize>().expect_err(text);
            assert!(error.to_string().contains("1MiB"), "{error}");
        }
    }

    #[test]
    fn error_message_truncates_a_long_text() {
        let error = "9".repeat(1 << 20).parse::<ByteSize>().expect_err("too large");
        assert!(error.to_string().len() < 200);
    }

    proptest! {
        #[test]
        fn displayed_size_parses_to_itself(bytes: u64) {
            prop_assert_eq!(ByteSize(bytes).to_string().parse(), Ok(ByteSize(bytes)));
        }
    }
}
