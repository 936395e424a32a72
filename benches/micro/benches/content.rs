//! What the bytes cost: making them, knowing their checksum, and summing them up as others do.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use gcs_uploader::content::{Content as _, Crc32c, RandomContent, Seed};

/// What a connection takes at once.
const PIECE: usize = 126 << 10;

fn main() {
    divan::main();
}

/// From the beginning of a block, and from where blocks and words are split.
#[divan::bench(args = [0, 1 << 30, 12_345])]
fn generate(bencher: Bencher, offset: u64) {
    let content = RandomContent::new(Seed::new(1), 1 << 40);
    let mut buffer = vec![0; PIECE];
    bencher
        .counter(BytesCount::new(PIECE))
        .bench_local(|| content.read_at(black_box(offset), &mut buffer).map(|_| buffer[0]));
}

/// What generating is to be compared with.
#[divan::bench]
fn copy(bencher: Bencher) {
    let (from, mut to) = (vec![1; PIECE], vec![0; PIECE]);
    bencher
        .counter(BytesCount::new(PIECE))
        .bench_local(|| black_box(&mut to).copy_from_slice(black_box(&from)));
}

/// A new file of so many bytes, and with it its checksum.
#[divan::bench(args = [0, 1 << 10, 1 << 20, 1 << 30])]
fn new_file(size: u64) -> RandomContent {
    RandomContent::new(Seed::random(), black_box(size))
}

/// What it would cost to look at every byte.
#[divan::bench]
fn checksum(bencher: Bencher) {
    let bytes = vec![1; PIECE];
    bencher.counter(BytesCount::new(PIECE)).bench_local(|| Crc32c::of(black_box(&bytes)));
}
