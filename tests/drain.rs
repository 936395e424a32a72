//! The end, seen from outside: a signal, clients who use the server all the time, and what is in
//! the bucket afterwards.

#![cfg(feature = "emulator")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]
#![allow(clippy::print_stdout, reason = "the figures are a part of what it shows")]

mod support;

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use gcs_uploader::emulator::{Action, Config, Emulator, RequestKind, Rule, StoreKind};
use serde_json::Value;
use support::Server;
use support::raw::{self, Raw, Reply, request, say};

/// A store that takes so long to answer when it has an object.
fn store(stall: Duration) -> Emulator {
    let emulator = Emulator::start(Config {
        listen: ([127, 0, 0, 1], 0).into(),
        store: StoreKind::Memory,
        buckets: vec!["bucket".to_owned()],
    })
    .unwrap();
    let ms = u64::try_from(stall.as_millis()).unwrap();
    emulator
        .faults()
        .inject(Rule::on(RequestKind::Data, Action::StallBeforeResponse { ms }).times(u32::MAX));
    emulator
}

fn serve(emulator: &Emulator, settings: &[&str]) -> Server {
    let mut command = support::gcs_uploader();
    command.args(["serve", "--listen", "127.0.0.1:0", "--bucket", "bucket"]);
    command.args(["--storage-emulator-host", &emulator.url()]).args(settings);
    Server::from(command)
}

/// What a client who uploads until it is told that the server ends has been answered.
#[derive(Default)]
struct Account {
    stored: Vec<String>,
    refused: usize,
    unanswered: usize,
}

impl Account {
    /// Goes on until an answer says that the connection ends.
    fn of(url: &str) -> Self {
        let mut account = Self::default();
        let mut raw = Raw::connect(url);
        let mut fresh = true;
        loop {
            let sent = raw.send(request("POST /api/upload-random?size=16KiB"));
            match sent.ok().and_then(|()| raw.answer()) {
                Some(reply) if account.take(&reply) => return account,
                Some(_) => fresh = false,
                // A kept connection may end between two requests; then a client asks once more
                // (RFC 9110, 9.2.2). Nothing was done: the bucket is counted in the end.
                None if !fresh => match Raw::try_connect(url) {
                    Some(again) => (raw, fresh) = (again, true),
                    None => return account,
                },
                None => {
                    account.unanswered += 1;
                    return account;
                }
            }
        }
    }

    /// Whether that was the last answer.
    fn take(&mut self, reply: &Reply) -> bool {
        match reply.status {
            201 => {
                let body: Value = serde_json::from_str(&reply.body).unwrap();
                self.stored.push(body["name"].as_str().unwrap().to_owned());
            }
            503 => {
                assert!(!reply.header("retry-after").is_empty(), "{reply:?}");
                self.refused += 1;
                // As a client does that is told to come later.
                thread::sleep(Duration::from_millis(20));
            }
            _ => panic!("{reply:?}"),
        }
        reply.says_close()
    }
}

#[test]
fn under_load_every_client_has_an_answer_and_the_bucket_holds_what_was_answered() {
    const CLIENTS: usize = 40;
    let emulator = store(Duration::from_millis(200));
    let server = serve(&emulator, &["--workers", "8", "--queue-depth", "16"]);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let url = server.url.clone();
            thread::spawn(move || Account::of(&url))
        })
        .collect();
    raw::wait_until("the server is busy", || emulator.objects("bucket").len() >= 24);
    server.process.signal("TERM");
    let (status, lines) = server.process.wait();
    assert_eq!(status, Some(0), "{lines:#?}");

    let accounts: Vec<Account> = clients.into_iter().map(|c| c.join().unwrap()).collect();
    let unanswered: usize = accounts.iter().map(|account| account.unanswered).sum();
    let refused: usize = accounts.iter().map(|account| account.refused).sum();
    let stored: BTreeSet<String> = accounts.into_iter().flat_map(|a| a.stored).collect();
    let objects = emulator.objects("bucket").into_iter().map(|object| object.name);
    say(&format!("{} stored, {refused} refused, {unanswered} unanswered", stored.len()));
    assert_eq!(unanswered, 0);
    assert!(refused > 0, "the load was no load");
    assert_eq!(objects.collect::<BTreeSet<_>>(), stored);
}

#[test]
fn an_upload_that_does_not_end_in_time_is_cancelled_and_its_client_told() {
    let emulator = store(Duration::ZERO);
    emulator.faults().clear();
    let stall = Action::StallAfterRequestBytes { bytes: 1 << 20, ms: 30_000 };
    emulator.faults().inject(Rule::on(RequestKind::Data, stall));
    let server = serve(&emulator, &["--drain-timeout", "1s", "--workers", "1"]);
    let mut running = Raw::connect(&server.url);
    running.send(request("POST /api/upload-random?size=100MiB")).unwrap();
    let seen = |kind| emulator.faults().requests().iter().any(|request| request.kind == kind);
    raw::wait_until("the upload has begun", || seen(RequestKind::Start));
    let mut waiting = Raw::connect(&server.url);
    waiting.send(request("POST /api/upload-random")).unwrap();
    raw::wait_until("another waits", || {
        let mut raw = Raw::connect(&server.url);
        raw.send(request("GET /metrics")).unwrap();
        raw.answer().unwrap().body.contains("gcs_uploader_queue_depth 1\n")
    });

    let told = Instant::now();
    server.process.signal("TERM");
    let refused = waiting.answer().unwrap();
    assert_eq!((refused.status, refused.says_close()), (503, true));
    let cancelled = running.answer().unwrap();
    assert_eq!((cancelled.status, cancelled.says_close()), (503, true));
    assert!(cancelled.body.contains("Nothing was stored"), "{cancelled:?}");
    assert!(told.elapsed() >= Duration::from_secs(1));
    let (status, lines) = server.process.wait();
    assert_eq!(status, Some(0), "{lines:#?}");
    assert!(told.elapsed() < Duration::from_secs(20), "{:?}", told.elapsed());
    assert!(seen(RequestKind::Cancel), "{:?}", emulator.faults().requests());
    assert!(emulator.objects("bucket").is_empty());
}

#[test]
fn an_upload_to_a_store_that_no_longer_answers_is_told_what_is_not_known() {
    let emulator = store(Duration::from_secs(60));
    let silence = Action::StallBeforeResponse { ms: 60_000 };
    for target in [RequestKind::Cancel, RequestKind::Metadata] {
        emulator.faults().inject(Rule::on(target, silence.clone()).times(u32::MAX));
    }
    let server = serve(&emulator, &["--drain-timeout", "1s"]);
    let mut running = Raw::connect(&server.url);
    running.send(request("POST /api/upload-random?size=1KiB")).unwrap();
    raw::wait_until("the upload has begun", || !emulator.faults().requests().is_empty());
    server.process.signal("TERM");
    let told = running.answer().unwrap();
    assert_eq!((told.status, told.says_close()), (503, true));
    assert!(told.body.contains("It is not known if the object was stored"), "{told:?}");
    let (status, lines) = server.process.wait();
    assert_eq!(status, Some(0), "{lines:#?}");
}

#[test]
fn an_upload_that_still_waits_for_a_token_is_told_at_once() {
    // A metadata server that takes connections and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = support::gcs_uploader();
    command.args(["serve", "--listen", "127.0.0.1:0", "--bucket", "bucket"]);
    command.args(["--drain-timeout", "1s"]).env("CLOUDSDK_CONFIG", "/nonexistent");
    command.env("GCE_METADATA_HOST", silent.local_addr().unwrap().to_string());
    let server = Server::from(command);
    let mut waiting = Raw::connect(&server.url);
    waiting.send(request("POST /api/upload-random?size=1KiB")).unwrap();
    raw::wait_until("a worker has it", || {
        let mut raw = Raw::connect(&server.url);
        raw.send(request("GET /metrics")).unwrap();
        raw.answer().unwrap().body.contains("gcs_uploader_workers_busy 1\n")
    });
    let told = Instant::now();
    server.process.signal("TERM");
    let answer = waiting.answer().unwrap();
    assert_eq!((answer.status, answer.says_close()), (503, true));
    assert!(answer.body.contains("problem:interrupted"), "{answer:?}");
    assert!(answer.body.contains("Nothing was stored"), "{answer:?}");
    assert_eq!(server.process.wait().0, Some(0));
    assert!(told.elapsed() < Duration::from_secs(10), "{:?}", told.elapsed());
}

#[test]
fn a_second_signal_ends_the_process_at_once() {
    let emulator = store(Duration::from_secs(30));
    let mut server = serve(&emulator, &[]);
    let mut running = Raw::connect(&server.url);
    running.send(request("POST /api/upload-random?size=1KiB")).unwrap();
    raw::wait_until("the upload has begun", || !emulator.faults().requests().is_empty());
    server.process.signal("TERM");
    server.process.line_with("stopping: SIGTERM");
    let again = Instant::now();
    server.process.signal("INT");
    let (status, _) = server.process.wait();
    assert_eq!(status, Some(130));
    assert!(again.elapsed() < Duration::from_secs(5), "{:?}", again.elapsed());
}

#[test]
fn while_it_drains_it_is_alive_but_not_ready_and_closes_what_it_answers() {
    let emulator = store(Duration::from_secs(2));
    let server = serve(&emulator, &[]);
    let mut running = Raw::connect(&server.url);
    running.send(request("POST /api/upload-random?size=1KiB")).unwrap();
    let mut kept = Raw::connect(&server.url);
    kept.send(request("GET /api/ready")).unwrap();
    assert_eq!(kept.answer().unwrap().status, 200);
    raw::wait_until("the upload has begun", || !emulator.faults().requests().is_empty());
    server.process.signal("TERM");
    assert!(kept.is_at_end(), "a kept connection ends");
    for (target, status) in
        [("GET /api/ready", 503), ("GET /api/health", 200), ("POST /api/upload-random", 503)]
    {
        let mut raw = Raw::connect(&server.url);
        raw.send(request(target)).unwrap();
        let reply = raw.answer().unwrap();
        assert_eq!((reply.status, reply.says_close()), (status, true), "{target}");
        assert!(raw.is_at_end(), "{target}");
    }
    assert_eq!(running.answer().unwrap().status, 201);
    assert_eq!(server.process.wait().0, Some(0));
}
