//! Buffer size for streams.

use std::str::FromStr;

use thiserror::Error;

use crate::content::ByteSize;

/// Number of bytes of a stream that are buffered until Cloud Storage has acknowledged them. Each
/// part except the last has this size.
///
/// A multiple of 256 KiB, as Cloud Storage requires for every part but the last
/// (<https://docs.cloud.google.com/storage/docs/performing-resumable-uploads#chunked-upload>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window(u32);

/// Error of parsing a [`Window`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("invalid window {0}: use a multiple of 256KiB from 256KiB to 1GiB")]
pub struct WindowError(String);

impl Window {
    /// Every window is a multiple of this, in bytes.
    pub const STEP: u64 = 256 << 10;
    /// 8 MiB.
    pub const DEFAULT: Self = Self(8 << 20);
    /// Maximum size in bytes.
    const MAX_BYTES: u64 = 1 << 30;

    /// Creates a window of this size.
    ///
    /// # Errors
    /// The size is not a multiple of 256 KiB, or is too small or too large.
    pub fn new(size: ByteSize) -> Result<Self, WindowError> {
        let bytes = size.as_u64();
        let fits =
            (Self::STEP..=Self::MAX_BYTES).contains(&bytes) && bytes.is_multiple_of(Self::STEP);
        let bytes = u32::try_from(bytes).ok().filter(|_| fits);
        bytes.map(Self).ok_or_else(|| WindowError(size.to_string()))
    }

    /// Returns the size in bytes.
    pub fn bytes(self) -> usize {
        self.0 as usize
    }
}

impl Default for Window {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl FromStr for Window {
    type Err = WindowError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let size = text.parse::<ByteSize>();
        let no_size = |_| WindowError(format!("{:?}", text.chars().take(40).collect::<String>()));
        Self::new(size.map_err(no_size)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn window_is_a_multiple_of_256_kib() {
        for (text, bytes) in [("256KiB", 256 << 10), ("8MiB", 8 << 20), ("1GiB", 1 << 30)] {
            assert_eq!(text.parse::<Window>().map(Window::bytes), Ok(bytes));
        }
        assert_eq!("8MiB".parse(), Ok(Window::DEFAULT));
        for text in ["", "0", "1", "262143", "262145", "1MB", "1025MiB", "2GiB", "4GiB", "5TiB"] {
            let error = text.parse::<Window>().expect_err(text);
            assert!(error.to_string().contains("multiple of 256KiB"), "{error}");
        }
    }
}
