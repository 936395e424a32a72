//! Thousands of uploads against a Cloud Storage that misbehaves at random, and after each of them:
//!
//! - acknowledged ⇔ the object is there, once, with that size, checksum and content;
//! - told to be absent ⇒ there is none;
//! - uncertain only if Cloud Storage could not be asked any more;
//! - a stream that fails makes no object;
//! - every request was legal under the protocol.
//!
//! Half of them are content that can be had again from any offset, half are streams, which come once.
//! Of the content, every second one goes over a session that was opened ahead, if its size allows that.
//!
//! Each upload follows from a seed and its number. `MODEL_SEED` and `MODEL_ONLY` replay one,
//! `MODEL_UPLOADS` says how many there are (`make soak`: 100,000).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]
#![allow(clippy::print_stdout, reason = "the counts are a part of what it shows")]

mod support;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use gcs_uploader::content::{ByteSize, Content as _, Crc32c, RandomContent, Seed};
use gcs_uploader::emulator::{Action, Break, Processing, RawResponse, RequestKind, Rule, Target};
use gcs_uploader::gcs::{ErrorKind, UploadError, Uploaded, Uploader as _, Window};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};
use support::engine;
use support::rig::Rig;

const KIB: u64 = 1 << 10;
const THREADS: u64 = 4;

fn setting(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name}={value} is no number")))
}

#[test]
fn an_upload_is_there_or_told_not_to_be_whatever_happens() {
    let seed = setting("MODEL_SEED").unwrap_or(20_260_101);
    let uploads = setting("MODEL_UPLOADS").unwrap_or(1_500);
    let numbers = match setting("MODEL_ONLY") {
        Some(number) => number..number + 1,
        None => 0..uploads,
    };
    let (next, end) = (AtomicU64::new(numbers.start), numbers.end);
    let counts = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let mut rig = Rig::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= end {
                        return;
                    }
                    let trial = Trial::draw(seed, number);
                    let outcome = trial.run(&mut rig);
                    *counts.lock().unwrap().entry(outcome).or_insert(0) += 1;
                }
            });
        }
    });
    let counts = counts.into_inner().unwrap();
    println!("{counts:?}");
    if setting("MODEL_ONLY").is_none() {
        // A test in which nothing goes wrong, or everything, would prove little.
        for outcome in [
            "acknowledged at once",
            "acknowledged after faults",
            "absent",
            "stream acknowledged at once",
            "stream acknowledged after faults",
            "stream absent",
            "stream lost",
            "stream failed",
        ] {
            assert!(counts.contains_key(outcome), "{counts:?}");
        }
    }
}

/// One upload and what goes wrong with it.
struct Trial {
    seed: u64,
    number: u64,
    size: u64,
    stream: Option<Stream>,
    rules: Vec<Rule>,
}

/// How the bytes come, when they come once.
#[derive(Clone, Copy, Debug)]
struct Stream {
    window: u64,
    pieces: usize,
    announced: Option<u64>,
    fails_at: Option<u64>,
}

impl Trial {
    fn draw(seed: u64, number: u64) -> Self {
        let mut dice = Xoshiro256PlusPlus::seed_from_u64(seed ^ number.rotate_left(32));
        let stream = dice.random::<bool>().then(|| draw_window(&mut dice));
        let size = match stream {
            None => draw_size(&mut dice),
            Some(window) => draw_streamed_size(&mut dice, window),
        };
        let stream = stream.map(|window| draw_stream(&mut dice, window, size));
        let count = [0, 1, 1, 2, 2, 3, 4, 6][dice.random_range(0..8)];
        let rules = (0..count).map(|_| draw_rule(&mut dice, size)).collect();
        Self { seed, number, size, stream, rules }
    }

    fn run(&self, rig: &mut Rig) -> &'static str {
        let prepared = match self.number % 2 {
            0 if self.stream.is_none() => {
                engine::client_and_prepared(rig.emulator.addr(), self.size)
            }
            _ => None,
        };
        let (name, content) = match &prepared {
            Some((_, file)) => (file.object().name.clone(), file.content().clone()),
            None => (
                format!("object-{}", self.number),
                RandomContent::new(Seed::new(self.number.into()), self.size),
            ),
        };
        let faults = rig.emulator.faults();
        faults.clear_requests();
        self.rules.iter().cloned().for_each(|rule| faults.inject(rule));
        let outcome = match (&self.stream, &prepared) {
            (None, None) => engine::upload_content(&rig.client, &name, &content, &()),
            (None, Some((client, file))) => client.upload_pooled(file, engine::DEADLINE, &()),
            (Some(stream), _) => stream.upload(rig, &name, &content),
        };
        faults.clear();
        let verdict = self.judge(rig, &name, &content, &outcome);
        // A store without objects for the next trial: also without one that is still on its way, as it
        // may be where nobody could say what became of the last bytes.
        if verdict == Ok("uncertain") || !rig.emulator.objects("bucket").is_empty() {
            *rig = Rig::new();
        }
        match verdict {
            Ok(verdict) => verdict,
            Err(what) => panic!(
                "{what}\nreplay: MODEL_SEED={} MODEL_ONLY={} cargo test --test model\n{} bytes, {:?}, {:#?}\ncame to {outcome:?}",
                self.seed, self.number, self.size, self.stream, self.rules,
            ),
        }
    }

    fn judge(
        &self,
        rig: &Rig,
        name: &str,
        content: &RandomContent,
        outcome: &Result<Uploaded, UploadError>,
    ) -> Result<&'static str, String> {
        let violations = rig.emulator.faults().violations();
        if !violations.is_empty() {
            return Err(format!("illegal requests: {violations:?}"));
        }
        let stored = rig.emulator.objects("bucket");
        let whole = match &stored[..] {
            [] => false,
            [object] => {
                let bytes =
                    rig.emulator.content("bucket", name).ok_or("another object is there")?;
                let right = bytes.len() as u64 == self.size
                    && Crc32c::of(&bytes) == content.crc32c()
                    && object.crc32c == content.crc32c().value();
                if !right {
                    return Err(format!("a fragment or another content: {object:?}"));
                }
                true
            }
            more => return Err(format!("more than one object: {more:?}")),
        };
        match (outcome, whole) {
            (Ok(uploaded), true) => {
                let shown = &uploaded.object;
                let same = shown.name == name
                    && shown.size == self.size
                    && shown.crc32c == content.crc32c()
                    && shown.generation == stored[0].generation.to_string();
                let at_once = uploaded.retried + uploaded.resumed == 0;
                match (same, at_once, &self.stream) {
                    (false, ..) => Err("what was acknowledged is not what is there".into()),
                    (true, _, Some(Stream { fails_at: Some(_), .. })) => {
                        Err("a stream that failed was acknowledged".into())
                    }
                    (true, true, None) => Ok("acknowledged at once"),
                    (true, false, None) => Ok("acknowledged after faults"),
                    (true, true, Some(_)) => Ok("stream acknowledged at once"),
                    (true, false, Some(_)) => Ok("stream acknowledged after faults"),
                }
            }
            (Ok(_), false) => Err("acknowledged, and not there".into()),
            (Err(error), false) if error.absent => self.judge_absence(error.kind),
            (Err(error), true) if error.absent => Err("told to be absent, and there".into()),
            (Err(_), _) if self.may_be_uncertain() => Ok("uncertain"),
            (Err(_), _) => Err("uncertain, although Cloud Storage could be asked".into()),
        }
    }

    fn judge_absence(&self, kind: ErrorKind) -> Result<&'static str, String> {
        let fails = self.stream.is_some_and(|stream| stream.fails_at.is_some());
        match (kind, &self.stream) {
            (ErrorKind::Source, _) if fails => Ok("stream failed"),
            (ErrorKind::Source, _) => Err("a source that did not fail is blamed".into()),
            (ErrorKind::Lost, None) => Err("content that can be had again is lost".into()),
            (ErrorKind::Lost, Some(stream)) if self.size <= stream.window => {
                Err("a stream that fits in its window is lost".into())
            }
            (ErrorKind::Lost, Some(_)) => Ok("stream lost"),
            (_, Some(_)) => Ok("stream absent"),
            (_, None) => Ok("absent"),
        }
    }

    /// Whether the questions that are asked last could have failed.
    fn may_be_uncertain(&self) -> bool {
        let last = [RequestKind::Cancel, RequestKind::Metadata, RequestKind::Delete];
        let is_last = |on: Target| on == Target::Any || last.iter().any(|&kind| on == kind.into());
        self.rules.iter().any(|rule| is_last(rule.on))
    }
}

impl Stream {
    fn upload(
        &self,
        rig: &Rig,
        name: &str,
        content: &RandomContent,
    ) -> Result<Uploaded, UploadError> {
        let &Self { window, pieces, announced, fails_at } = self;
        let mut source = engine::Once { content, pieces, announced, fails_at, read: 0 };
        let window = Window::new(ByteSize::bytes(window)).unwrap();
        engine::upload_stream(&rig.client, name, &mut source, window)
    }
}

fn draw_window(dice: &mut Xoshiro256PlusPlus) -> u64 {
    [1, 1, 2, 3][dice.random_range(0..4)] * 256 * KIB
}

/// Around nothing, a step, and the edges of one window and of several.
fn draw_streamed_size(dice: &mut Xoshiro256PlusPlus, window: u64) -> u64 {
    let step = 256 * KIB;
    let around = |dice: &mut Xoshiro256PlusPlus, edge: u64| edge - 1 + dice.random_range(0..3);
    match dice.random_range(0..12) {
        0 => 0,
        1 => dice.random_range(1..8),
        2..5 => dice.random_range(8..64 * KIB),
        5 => around(dice, step),
        6..8 => around(dice, window),
        8..10 => {
            let windows = dice.random_range(2..4);
            around(dice, windows * window)
        }
        _ => dice.random_range(window..3 * window),
    }
}

fn draw_stream(dice: &mut Xoshiro256PlusPlus, window: u64, size: u64) -> Stream {
    Stream {
        window,
        pieces: [1_000, 4_999, 65_536, 1 << 20][dice.random_range(0..4)],
        announced: dice.random::<bool>().then_some(size),
        fails_at: dice.random_ratio(1, 8).then(|| dice.random_range(0..=size)),
    }
}

fn draw_size(dice: &mut Xoshiro256PlusPlus) -> u64 {
    let step = 256 * KIB;
    match dice.random_range(0..10) {
        0 => 0,
        1 => dice.random_range(1..8),
        2..6 => dice.random_range(8..64 * KIB),
        6 => step,
        7 => step - 1 + dice.random_range(0..3),
        8 => 2 * step - 1 + dice.random_range(0..3),
        _ => dice.random_range(step..3 * step),
    }
}

fn draw_rule(dice: &mut Xoshiro256PlusPlus, size: u64) -> Rule {
    let targets: [Target; 9] = [
        RequestKind::Start.into(),
        RequestKind::Data.into(),
        RequestKind::Data.into(),
        RequestKind::Data.into(),
        RequestKind::Status.into(),
        RequestKind::Status.into(),
        RequestKind::Metadata.into(),
        RequestKind::Cancel.into(),
        Target::Any,
    ];
    let target = targets[dice.random_range(0..targets.len())];
    let action = draw_action(dice, size);
    // A session that is finished and claims to have been cancelled is a lie that nobody sees through,
    // and so is an object that is there and claims not to be.
    let target = match action {
        Action::LoseSession { .. } | Action::Status { status: 404, .. } => RequestKind::Data.into(),
        _ => target,
    };
    // Most faults pass; some stay for longer than anybody waits.
    let times = [1, 1, 1, 2, 3, 100_000][dice.random_range(0..6)];
    Rule::on(target, action).after(dice.random_range(0..3)).times(times)
}

fn draw_action(dice: &mut Xoshiro256PlusPlus, size: u64) -> Action {
    let with = if dice.random() { Break::Reset } else { Break::Close };
    let bytes = dice.random_range(0..=size);
    match dice.random_range(0..100) {
        0..20 => Action::Status { status: transient(dice), retry_after: retry_after(dice) },
        20..28 => Action::Status { status: any_status(dice), retry_after: None },
        28..45 => Action::BreakAfterRequestBytes { bytes, with },
        45..58 => Action::BreakBeforeResponse { with },
        58..66 => Action::BreakAfterResponseBytes { bytes: dice.random_range(0..900), with },
        66..74 => Action::PersistAtMost { bytes },
        74..82 => Action::RespondAfterRequestBytes { bytes, status: transient(dice), with },
        82..89 => Action::TruncateResponse { bytes: dice.random_range(0..400) },
        89..94 => Action::LoseSession { status: [404, 410, 499][dice.random_range(0..3)] },
        94 => Action::StallBeforeResponse { ms: 1_000 },
        95 => Action::StallAfterRequestBytes { bytes, ms: 1_000 },
        _ => Action::Respond(nonsense(dice)),
    }
}

fn transient(dice: &mut Xoshiro256PlusPlus) -> u16 {
    [408, 429, 500, 502, 503, 504][dice.random_range(0..6)]
}

fn any_status(dice: &mut Xoshiro256PlusPlus) -> u16 {
    [204, 301, 308, 400, 401, 403, 404, 410, 412, 416, 499, 501][dice.random_range(0..12)]
}

fn retry_after(dice: &mut Xoshiro256PlusPlus) -> Option<String> {
    let values = [None, None, Some("0"), Some("7"), Some("-1"), Some("soon"), Some("99999999999")];
    values[dice.random_range(0..values.len())].map(str::to_owned)
}

/// An answer that no Cloud Storage would give.
fn nonsense(dice: &mut Xoshiro256PlusPlus) -> RawResponse {
    let header = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    let headers = match dice.random_range(0..5) {
        0 => header("Range", "bytes=0-99999999999"),
        1 => header("Range", "bytes=7-3"),
        2 => header("Location", "http://192.0.2.1/?upload_id=elsewhere"),
        3 => header("Location", "relative"),
        _ => Vec::new(),
    };
    let bodies = ["", "{", "null", "[]", r#"{"size":"0"}"#, "<html>"];
    let processing = if dice.random() { Processing::Done } else { Processing::Skipped };
    RawResponse {
        status: [200, 201, 308][dice.random_range(0..3)],
        headers,
        body: bodies[dice.random_range(0..bodies.len())].to_owned(),
        padding: [0, 0, 100_000][dice.random_range(0..3)],
        processing,
    }
}
