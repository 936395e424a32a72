//! Inputs that are almost valid, for the property tests of parsers. Compiled for tests only.

use proptest::collection::vec;
use proptest::prelude::*;

/// Up to five pieces of valid inputs, each followed by up to three random bytes.
pub(crate) fn near_miss(valid: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let piece = (0..valid.len(), 0..100_usize, 0..100_usize, vec(any::<u8>(), 0..4));
    let piece = piece.prop_map(|(which, from, to, then)| {
        let valid = valid[which].as_bytes();
        let (from, to) = (from.min(valid.len()), to.min(valid.len()));
        [&valid[from.min(to)..from.max(to)], &then].concat()
    });
    vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}
