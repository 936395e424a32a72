//! The connection breaks at any byte of any request or answer: the upload succeeds all the same,
//! and the object exists once.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod support;

use gcs_uploader::content::{Content as _, RandomContent, Seed};
use gcs_uploader::emulator::{Config, Emulator, StoreKind};
use gcs_uploader::gcs::Client;
use support::cutter::{Cut, Cutter, Direction, How};
use support::engine;

const SIZE: u64 = 300 * 1024;

struct Bench {
    emulator: Emulator,
    cutter: Cutter,
    client: Client,
    uploads: u128,
}

impl Bench {
    fn new() -> Self {
        let emulator = Emulator::start(Config {
            listen: ([127, 0, 0, 1], 0).into(),
            store: StoreKind::Memory,
            buckets: vec!["bucket".into()],
        })
        .unwrap();
        let cutter = Cutter::to(emulator.addr());
        let client = engine::client(cutter.address);
        Self { emulator, cutter, client, uploads: 0 }
    }

    /// An upload whose connections are cut like this ends as it must.
    fn survives(&mut self, cuts: &[Cut]) {
        self.cutter.plan(cuts);
        self.client = engine::client(self.cutter.address);
        self.uploads += 1;
        let name = format!("object-{}", self.uploads);
        let uploaded = engine::upload(&self.client, &name, self.uploads, SIZE)
            .unwrap_or_else(|error| panic!("{cuts:?}: {error}"));
        let content = RandomContent::new(Seed::new(self.uploads), SIZE);
        assert_eq!(uploaded.object.crc32c, content.crc32c());
        let stored = self.emulator.objects("bucket");
        assert_eq!(stored.len() as u128, self.uploads, "{cuts:?}");
        let ours = stored.iter().find(|object| object.name == name).unwrap();
        assert_eq!((ours.size, ours.crc32c), (SIZE, content.crc32c().value()), "{cuts:?}");
    }
}

/// Offsets at which a stream of head and body is cut: each byte of the head, the ends of the steps
/// in which bytes are persisted, and the last bytes.
fn offsets(head: u64, body: u64) -> impl Iterator<Item = u64> {
    let step = 256 * 1024;
    let end = head + body;
    (0..head.min(end))
        .chain((step..end).step_by(step as usize))
        .chain(end.saturating_sub(3)..=end + 2)
}

/// A cut by turns with a reset and with an orderly end.
fn cut(direction: Direction, after: u64) -> Cut {
    let how = if after.is_multiple_of(2) { How::Reset } else { How::Close };
    Cut { direction, after, how }
}

#[test]
fn a_request_that_breaks_at_any_byte_is_survived() {
    let mut bench = Bench::new();
    for after in offsets(1200, SIZE) {
        bench.survives(&[cut(Direction::Request, after)]);
    }
}

#[test]
fn an_answer_that_breaks_at_any_byte_is_survived() {
    let mut bench = Bench::new();
    for after in 0..1800 {
        bench.survives(&[cut(Direction::Answer, after)]);
    }
}

#[test]
fn a_status_query_that_breaks_at_any_byte_is_survived_too() {
    let mut bench = Bench::new();
    let in_the_body = Cut { direction: Direction::Request, after: 280_000, how: How::Reset };
    for after in (0..400).step_by(7) {
        bench.survives(&[in_the_body, cut(Direction::Request, after)]);
        bench.survives(&[in_the_body, cut(Direction::Answer, after)]);
    }
}
