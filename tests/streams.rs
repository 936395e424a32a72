//! Large files that come in: memory stays what it is, a slow store holds clients back by TCP, and the
//! promise of the reliability document holds for bytes that come once.

#![cfg(feature = "emulator")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod support;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use gcs_uploader::content::Crc32c;
use gcs_uploader::emulator::{
    Action, Break, Config, Emulator, RecordedRequest, RequestKind, Rule, StoreKind,
};
use serde_json::Value;
use support::Server;
use support::raw::{self, Raw, request_with, say, status_of};

const MIB: u64 = 1 << 20;

/// As large as the default window.
const WINDOW: u64 = 8 * MIB;

fn store() -> Emulator {
    Emulator::start(Config {
        listen: ([127, 0, 0, 1], 0).into(),
        store: StoreKind::Memory,
        buckets: vec!["bucket".to_owned()],
    })
    .unwrap()
}

fn serve(emulator: &Emulator, settings: &[&str]) -> Server {
    let mut command = support::gcs_uploader();
    command.args(["serve", "--listen", "127.0.0.1:0", "--bucket", "bucket"]);
    command.args(["--storage-emulator-host", &emulator.url()]).args(settings);
    Server::from(command)
}

/// A mebibyte whose bytes do not repeat in it.
fn mebibyte() -> Vec<u8> {
    (0_u32..1 << 18).flat_map(|word| word.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
}

fn head(name: &str, mebibytes: u64) -> String {
    let length = format!("Content-Length: {}", mebibytes * MIB);
    request_with(&format!("PUT /api/upload?name={name}"), &length)
}

/// Sends a file of so many mebibytes; the answer.
fn send(url: &str, name: &str, mebibytes: u64) -> (u16, Value) {
    let mut raw = Raw::connect(url);
    raw.send(head(name, mebibytes)).unwrap();
    let piece = mebibyte();
    for _ in 0..mebibytes {
        raw.send(&piece).unwrap();
    }
    let reply = raw.answer().expect("an answer");
    (reply.status, serde_json::from_str(&reply.body).unwrap())
}

#[test]
fn eight_large_files_at_once_take_a_window_each() {
    const FILES: u64 = 8;
    const SIZE: u64 = 128;
    let emulator = store();
    let server = serve(&emulator, &[]);
    let sending: Vec<_> = (0..FILES)
        .map(|number| {
            let url = server.url.clone();
            thread::spawn(move || send(&url, &number.to_string(), SIZE))
        })
        .collect();
    let answers: Vec<_> = sending.into_iter().map(|thread| thread.join().unwrap()).collect();
    let crc32c = Crc32c::of(&mebibyte().repeat(SIZE as usize)).to_string();
    for (status, answer) in answers {
        assert_eq!((status, answer["crc32c"].as_str()), (201, Some(&*crc32c)), "{answer}");
    }
    let objects = emulator.objects("bucket");
    assert_eq!(objects.iter().filter(|object| object.size == SIZE * MIB).count() as u64, FILES);
    let peak = status_of(&server.process, "VmHWM");
    say(&format!("{FILES} files of {SIZE} MiB at once: {peak} KiB at most"));
    assert!(peak < (64 * MIB + FILES * WINDOW) >> 10, "{peak} KiB");
}

#[test]
fn a_store_that_takes_nothing_holds_the_client_back() {
    const SIZE: u64 = 96;
    let emulator = store();
    emulator
        .faults()
        .inject(Rule::on(RequestKind::Data, Action::StallBeforeResponse { ms: 8_000 }));
    let server = serve(&emulator, &[]);
    let mut stream = TcpStream::connect(server.url.trim_start_matches("http://")).unwrap();
    stream.write_all(head("a", SIZE).as_bytes()).unwrap();
    let piece = mebibyte();
    let (mut sent, mut held_back) = (0, None);
    // Nothing is taken for two seconds: the client is held back.
    stream.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
    while sent < SIZE * MIB {
        let from = usize::try_from(sent % MIB).unwrap();
        match stream.write(&piece[from..]) {
            Ok(count) => sent += count as u64,
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
                held_back.get_or_insert((sent, status_of(&server.process, "VmHWM")));
            }
        }
    }
    let (sent, peak) = held_back.expect("the client was held back");
    say(&format!("held back after {} KiB; {peak} KiB at most", sent >> 10));
    // A window, and what the system keeps on both sides of a connection.
    assert!(sent < WINDOW + 32 * MIB, "{sent} bytes");
    assert!(peak < (64 * MIB + WINDOW) >> 10, "{peak} KiB");
    let mut status = [0; 12];
    stream.read_exact(&mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 201", "and then it goes on");
}

#[test]
fn faults_of_the_store_are_survived_and_the_object_is_whole() {
    let emulator = store();
    let on_data = |action| Rule::on(RequestKind::Data, action);
    for rule in [
        Rule::on(RequestKind::Start, Action::Status { status: 503, retry_after: None }),
        on_data(Action::BreakAfterRequestBytes { bytes: 300_000, with: Break::Reset }),
        on_data(Action::Status { status: 503, retry_after: None }).after(1),
        on_data(Action::PersistAtMost { bytes: 256 << 10 }).after(2),
        on_data(Action::BreakBeforeResponse { with: Break::Reset }).after(3),
    ] {
        emulator.faults().inject(rule);
    }
    let server = serve(&emulator, &["--upload-window", "1MiB"]);
    let (status, answer) = send(&server.url, "a", 9);
    assert_eq!(status, 201, "{answer}");
    let [object] = &emulator.objects("bucket")[..] else { panic!("one object") };
    let whole = Crc32c::of(&mebibyte().repeat(9));
    assert_eq!((object.size, object.crc32c), (9 * MIB, whole.value()));
    assert_eq!(answer["crc32c"], whole.to_string());
    assert!(answer["resumed"].as_u64().unwrap() > 0, "{answer}");
}

#[test]
fn a_client_that_vanishes_has_its_session_cancelled() {
    let emulator = store();
    let server = serve(&emulator, &["--upload-window", "1MiB", "--workers", "1"]);
    let mut raw = Raw::connect(&server.url);
    raw.send(head("a", 5)).unwrap();
    raw.send(mebibyte()).unwrap();
    raw.send(mebibyte()).unwrap();
    drop(raw);
    let cancelled = |request: &RecordedRequest| request.kind == RequestKind::Cancel;
    raw::wait_until("the session is cancelled", || {
        emulator.faults().requests().iter().any(cancelled)
    });
    assert!(emulator.objects("bucket").is_empty());
    let (status, answer) = send(&server.url, "a", 1);
    assert_eq!(status, 201, "the worker is free and the name as well: {answer}");
}

#[test]
fn a_stream_that_is_late_is_cancelled_by_the_drain_and_its_client_told() {
    let emulator = store();
    let server = serve(&emulator, &["--drain-timeout", "1s", "--upload-window", "1MiB"]);
    let mut raw = Raw::connect(&server.url);
    raw.send(head("a", 5)).unwrap();
    raw.send(mebibyte()).unwrap();
    raw.send(mebibyte()).unwrap();
    let sent = |request: &RecordedRequest| request.kind == RequestKind::Data;
    raw::wait_until("it is under way", || emulator.faults().requests().iter().any(sent));
    server.process.signal("TERM");
    let reply = raw.answer().expect("an answer");
    assert_eq!(reply.status, 503, "{reply:?}");
    assert!(reply.body.contains("problem:interrupted"), "{reply:?}");
    let (status, lines) = server.process.wait();
    assert_eq!(status, Some(0), "{lines:#?}");
    assert!(emulator.objects("bucket").is_empty());
}
