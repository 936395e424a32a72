//! Sessions that are opened ahead, as a user of the binary meets them: an upload is one request to
//! Cloud Storage, its object is the same as ever, and nothing is left open in the end.

#![cfg(feature = "emulator")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod support;

use std::time::{Duration, Instant};

use gcs_uploader::content::{Content as _, RandomContent, Seed};
use gcs_uploader::emulator::{Action, Config, Emulator, RequestKind, Rule, StoreKind};
use support::raw::wait_until;
use support::{Answer, Server, gcs_uploader, http};

const MANY: u32 = u32::MAX;

fn store() -> Emulator {
    let listen = ([127, 0, 0, 1], 0).into();
    let buckets = vec!["bucket".to_owned()];
    Emulator::start(Config { listen, store: StoreKind::Memory, buckets }).unwrap()
}

fn serve(emulator: &Emulator, settings: &[&str]) -> Server {
    let mut command = gcs_uploader();
    command.args(["serve", "--listen", "127.0.0.1:0", "--bucket", "bucket"]);
    command.args(["--storage-emulator-host", &emulator.url(), "--ready-sessions", "4"]);
    Server::from({
        command.args(settings);
        command
    })
}

/// The value of a metric.
fn metric(server: &Server, name: &str) -> u64 {
    let page = String::from_utf8(server.get("/metrics").body).unwrap();
    let value = page.lines().find_map(|line| line.strip_prefix(&format!("gcs_uploader_{name} ")));
    value.map_or(0, |value| value.parse().unwrap())
}

/// Uploads until so many sessions wait for the next ones.
fn warm_up(server: &Server, sessions: u64) {
    let all = (0..sessions).map(|_| {
        let url = format!("{}/api/upload-random?size=1KiB", server.url);
        std::thread::spawn(move || http().post(url).send_empty().unwrap().status())
    });
    for upload in all.collect::<Vec<_>>() {
        assert_eq!(upload.join().unwrap(), 201);
    }
    wait_until("sessions are ready", || metric(server, "ready_sessions") >= 1);
}

fn kinds(emulator: &Emulator) -> Vec<RequestKind> {
    emulator.faults().requests().iter().map(|request| request.kind).collect()
}

#[test]
fn an_upload_waits_for_one_request_and_for_no_start() {
    let emulator = store();
    let server = serve(&emulator, &[]);
    warm_up(&server, 1);
    emulator.faults().clear_requests();
    let refuse = Action::Status { status: 503, retry_after: None };
    emulator.faults().inject(Rule::on(RequestKind::Start, refuse).times(MANY));
    let answer = server.post("/api/upload-random?size=300KiB");
    assert_eq!(answer.status, 201, "{answer:?}");
    let stated = answer.json();
    assert_eq!((&stated["retried"], &stated["resumed"]), (&0.into(), &0.into()));
    // The starts are those of sessions for others.
    let data = kinds(&emulator).into_iter().filter(|kind| *kind == RequestKind::Data).count();
    assert_eq!(data, 1);
    assert_eq!(metric(&server, r#"ready_sessions_ended_total{end="used"}"#), 1);

    let name = stated["name"].as_str().unwrap();
    let seed = Seed::from_hex(stated["seed"].as_str().unwrap()).unwrap();
    let content = RandomContent::new(seed, 300 << 10);
    let stored = emulator.content("bucket", name).unwrap();
    let mut bytes = vec![0; stored.len()];
    let mut made = 0;
    while made < bytes.len() {
        made += content.read_at(made as u64, &mut bytes[made..]).unwrap();
    }
    assert!(stored == bytes, "the bytes are not those of the seed");
    assert_eq!(stated["crc32c"], content.crc32c().to_string());
}

#[test]
fn the_object_says_who_uploaded_it_and_for_which_request() {
    let tokens = tempfile::NamedTempFile::new().unwrap();
    let output = gcs_uploader().args(["token", "new", "nightly-batch"]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let [secret, line] = said.lines().collect::<Vec<_>>()[..] else { panic!("{said}") };
    std::fs::write(tokens.path(), line).unwrap();
    let emulator = store();
    let server = serve(&emulator, &["--api-tokens-file", tokens.path().to_str().unwrap()]);
    let upload = || {
        let request = http().post(format!("{}/api/upload-random?size=1KiB", server.url));
        let request = request.header("Authorization", format!("Bearer {secret}"));
        Answer::of(request.header("X-Request-Id", "order-7").send_empty().unwrap())
    };
    assert_eq!(upload().status, 201);
    wait_until("a session is ready", || metric(&server, "ready_sessions") >= 1);
    let stated = upload().json();
    assert_eq!(metric(&server, r#"ready_sessions_ended_total{end="used"}"#), 1);
    let name = stated["name"].as_str().unwrap();
    let url = format!("{}/storage/v1/b/bucket/o/{name}", emulator.url());
    let metadata = Answer::of(http().get(url).call().unwrap()).json();
    let expected = serde_json::json!({
        "seed": stated["seed"], "request-id": "order-7", "uploaded-by": "nightly-batch",
    });
    assert_eq!(metadata["metadata"], expected);
}

#[test]
fn very_short_files_and_those_with_a_key_open_their_own() {
    let emulator = store();
    let server = serve(&emulator, &[]);
    warm_up(&server, 1);
    assert_eq!(server.post("/api/upload-random?size=3").status, 201);
    let keyed = http().post(format!("{}/api/upload-random?size=1KiB", server.url));
    let keyed = keyed.header("Idempotency-Key", "a-key").send_empty().unwrap();
    assert_eq!(keyed.status(), 201);
    assert_eq!(metric(&server, r#"ready_sessions_ended_total{end="used"}"#), 0);
}

#[test]
fn an_upload_whose_session_is_gone_opens_another() {
    let emulator = store();
    let server = serve(&emulator, &[]);
    warm_up(&server, 1);
    let before = emulator.objects("bucket").len();
    emulator.faults().inject(Rule::on(RequestKind::Data, Action::LoseSession { status: 410 }));
    let answer = server.post("/api/upload-random?size=1KiB");
    assert_eq!((answer.status, &answer.json()["retried"]), (201, &1.into()));
    assert_eq!(emulator.objects("bucket").len(), before + 1);
    assert_eq!(emulator.faults().violations(), []);
}

#[test]
fn in_the_end_what_is_open_is_cancelled() {
    let emulator = store();
    let server = serve(&emulator, &[]);
    warm_up(&server, 3);
    let told = Instant::now();
    server.process.signal("TERM");
    let (status, lines) = server.process.wait();
    assert_eq!(status, Some(0), "{lines:#?}");
    assert!(told.elapsed() < Duration::from_secs(20), "{:?}", told.elapsed());
    let count = |kind| kinds(&emulator).into_iter().filter(|is| *is == kind).count();
    let objects = emulator.objects("bucket").len();
    assert_eq!(count(RequestKind::Start), objects + count(RequestKind::Cancel));
    assert!(count(RequestKind::Cancel) > 0);
}

#[test]
fn a_store_that_does_not_answer_does_not_hold_up_the_end() {
    let emulator = store();
    let server = serve(&emulator, &[]);
    warm_up(&server, 1);
    let stall = Action::StallBeforeResponse { ms: 120_000 };
    emulator.faults().inject(Rule::on(RequestKind::Cancel, stall).times(MANY));
    let told = Instant::now();
    server.process.signal("TERM");
    let (status, lines) = server.process.wait();
    assert_eq!(status, Some(0), "{lines:#?}");
    assert!(told.elapsed() < Duration::from_secs(60), "{:?}", told.elapsed());
    assert!(lines.iter().any(|line| line.contains("stopped")), "{lines:#?}");
}
