//! Bounds of threads, descriptors and memory, and service at those bounds.

#![cfg(all(feature = "emulator", target_os = "linux"))]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]
#![allow(clippy::print_stdout, reason = "the figures are a part of what it shows")]

mod support;

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use support::raw::{self, Raw, descriptors_of, is_healthy, request, say, status_of};
use support::{Server, Store};

/// Starts a server with a limit of descriptors.
fn with_descriptors(store: &Store, limit: u32, settings: &[&str]) -> Server {
    let mut command = Command::new("sh");
    command.env_clear().args(["-c", &format!("ulimit -n {limit} && exec \"$0\" \"$@\"")]);
    command.arg(env!("CARGO_BIN_EXE_gcs-uploader"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--bucket", "bucket"]);
    command.args(["--storage-emulator-host", &store.url]).args(settings);
    Server::from(command)
}

/// Opens connections that send nothing.
fn silent_connections(server: &Server, count: usize) -> Vec<Raw> {
    (0..count).map(|_| Raw::connect(&server.url)).collect()
}

fn metric(server: &Server, name: &str) -> u64 {
    let page = String::from_utf8(server.get("/metrics").body).unwrap();
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or("0").parse().unwrap()
}

#[test]
fn server_with_few_descriptors_limits_its_connections_and_logs_it() {
    let store = Store::emulator();
    let server = with_descriptors(&store, 160, &["--workers", "2", "--queue-depth", "2"]);
    let maximum = metric(&server, "gcs_uploader_connections_maximum");
    assert!((8..160).contains(&maximum), "{maximum}");
    let _silent = silent_connections(&server, 300);
    assert!(is_healthy(&server.url));
    assert!(raw::upload(&server.url).is_some());
    assert_eq!(
        metric(&server, "gcs_uploader_accept_failures_total"),
        0,
        "a descriptor is always left"
    );
    server.process.signal("TERM");
    let (status, lines) = server.process.wait();
    assert_eq!(status, Some(0), "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("MAX_CONNECTIONS 512")), "{lines:#?}");
}

#[test]
fn server_without_descriptors_evicts_connections_and_recovers() {
    let store = Store::emulator();
    let mut server = Server::start(&store, &["--workers", "2", "--queue-depth", "2"]);
    assert!(raw::upload(&server.url).is_some());
    let pid = Pid::from_raw(i32::try_from(server.process.id()).unwrap());
    let few = u64::try_from(descriptors_of(&server.process) + 6).unwrap();
    let maximum = getrlimit(Resource::Nofile).maximum;
    let before = prlimit(pid, Resource::Nofile, Rlimit { current: Some(few), maximum }).unwrap();
    let silent = silent_connections(&server, 40);
    server.process.line_with("accept failed");
    raw::wait_until("other connections are accepted", || is_healthy(&server.url));
    drop(silent);
    prlimit(pid, Resource::Nofile, before).unwrap();
    assert!(is_healthy(&server.url));
    assert!(raw::upload(&server.url).is_some());
    server.process.signal("TERM");
    assert_eq!(server.process.wait().0, Some(0));
}

#[test]
fn health_check_on_a_kept_connection_is_answered_at_the_connection_limit() {
    let store = Store::emulator();
    let server = Server::start(&store, &["--max-connections", "16"]);
    let mut kept = Raw::connect(&server.url);
    let mut ask = || {
        kept.send(request("GET /api/health")).unwrap();
        assert_eq!(kept.answer().unwrap().status, 200);
    };
    ask();
    for _ in 0..10 {
        let _silent = silent_connections(&server, 60);
        for _ in 0..5 {
            ask();
            thread::sleep(Duration::from_millis(20));
        }
    }
    ask();
    assert!(is_healthy(&server.url), "a new connection is accepted within a second");
    let full = r#"gcs_uploader_connections_cut_total{reason="full"}"#;
    raw::wait_until("some connections were rejected", || metric(&server, full) > 0);
}

#[test]
fn idle_server_has_few_threads_and_descriptors() {
    const WORKERS: u64 = 32;
    let store = Store::emulator();
    let server = Server::start(&store, &[]);
    assert_eq!(server.get("/api/health").status, 200);
    raw::wait_until("the connection is closed", || {
        metric(&server, "gcs_uploader_connections") <= 1
    });
    let threads = status_of(&server.process, "Threads");
    let descriptors = descriptors_of(&server.process);
    say(&format!("{threads} threads, {descriptors} descriptors at rest"));
    assert!((WORKERS..=WORKERS + 12).contains(&threads), "{threads} threads");
    assert!(descriptors <= 40, "{descriptors} descriptors");
}

#[test]
fn threads_and_descriptors_return_to_their_numbers_after_a_storm() {
    raw::allow_many_descriptors();
    let store = Store::emulator();
    let server = Server::start(&store, &[]);
    assert!(raw::upload(&server.url).is_some());
    let threads = status_of(&server.process, "Threads");
    let descriptors = descriptors_of(&server.process);
    for _ in 0..3 {
        let mut silent = silent_connections(&server, 400);
        for (number, raw) in silent.iter_mut().enumerate() {
            let text = request(["GET /api/health", "GET /metrics", "X"][number % 3]);
            raw.send(&text[..text.len() - number % 4]).unwrap();
        }
    }
    raw::wait_until("threads and descriptors are as before", || {
        // The test itself uses a connection, and the storm may have opened one to the store.
        status_of(&server.process, "Threads") <= threads + 4
            && descriptors_of(&server.process) <= descriptors + 4
    });
    let peak = status_of(&server.process, "VmHWM");
    say(&format!("{threads} threads, {descriptors} descriptors, {peak} KiB at most"));
    assert!(peak < 96 << 10, "{peak} KiB");
}

#[test]
fn server_is_healthy_soon_after_its_start() {
    let store = Store::emulator();
    let began = Instant::now();
    let server = Server::start(&store, &[]);
    assert_eq!(server.get("/api/health").status, 200);
    say(&format!("healthy {:?} after the start", began.elapsed()));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}
