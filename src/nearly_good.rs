//! Foreign bytes that are almost right, for the tests of whatever reads some. Never part of the
//! product.

use proptest::collection::vec;
use proptest::prelude::*;

/// A part of a good input, with other bytes put into it, again and again.
pub(crate) fn nearly_good(good: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let part = (0..good.len(), 0..100_usize, 0..100_usize, vec(any::<u8>(), 0..4));
    let part = part.prop_map(|(which, from, to, then)| {
        let good = good[which].as_bytes();
        let (from, to) = (from.min(good.len()), to.min(good.len()));
        [&good[from.min(to)..from.max(to)], &then].concat()
    });
    vec(part, 0..6).prop_map(|parts| parts.concat())
}
