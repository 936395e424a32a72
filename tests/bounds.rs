//! What the process may use at most, and that it goes on when it has come to that.

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

/// A server that may have so many descriptors.
fn with_descriptors(store: &Store, limit: u32, settings: &[&str]) -> Server {
    let mut command = Command::new("sh");
    command.env_clear().args(["-c", &format!("ulimit -n {limit} && exec \"$0\" \"$@\"")]);
    command.arg(env!("CARGO_BIN_EXE_gcs-uploader"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--bucket", "bucket"]);
    command.args(["--storage-emulator-host", &store.url]).args(settings);
    Server::from(command)
}

/// Connections that send nothing.
fn crowd(server: &Server, count: usize) -> Vec<Raw> {
    (0..count).map(|_| Raw::connect(&server.url)).collect()
}

fn metric(server: &Server, name: &str) -> u64 {
    let page = String::from_utf8(server.get("/metrics").body).unwrap();
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or("0").parse().unwrap()
}

#[test]
fn with_few_descriptors_it_takes_fewer_connections_and_says_so() {
    let store = Store::emulator();
    let server = with_descriptors(&store, 160, &["--workers", "2", "--queue-depth", "2"]);
    let maximum = metric(&server, "gcs_uploader_connections_maximum");
    assert!((8..60).contains(&maximum), "{maximum}");
    let _crowd = crowd(&server, 300);
    assert!(is_healthy(&server.url));
    assert!(raw::upload(&server.url).is_some());
    assert_eq!(
        metric(&server, "gcs_uploader_accept_failures_total"),
        0,
        "there is always one left"
    );
    server.process.signal("TERM");
    let (status, lines) = server.process.wait();
    assert_eq!(status, Some(0), "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("MAX_CONNECTIONS 512")), "{lines:#?}");
}

#[test]
fn without_any_descriptor_left_it_makes_room_and_goes_on() {
    let store = Store::emulator();
    let mut server = Server::start(&store, &["--workers", "2", "--queue-depth", "2"]);
    assert!(raw::upload(&server.url).is_some());
    let pid = Pid::from_raw(i32::try_from(server.process.id()).unwrap());
    let few = u64::try_from(descriptors_of(&server.process) + 6).unwrap();
    let maximum = getrlimit(Resource::Nofile).maximum;
    let before = prlimit(pid, Resource::Nofile, Rlimit { current: Some(few), maximum }).unwrap();
    let crowd = crowd(&server, 40);
    server.process.line_with("connections cannot be accepted");
    raw::wait_until("there is room for others", || is_healthy(&server.url));
    drop(crowd);
    prlimit(pid, Resource::Nofile, before).unwrap();
    assert!(is_healthy(&server.url));
    assert!(raw::upload(&server.url).is_some());
    server.process.signal("TERM");
    assert_eq!(server.process.wait().0, Some(0));
}

#[test]
fn when_all_places_are_taken_who_asks_for_health_on_a_kept_connection_is_answered() {
    let store = Store::emulator();
    let server = Server::start(&store, &["--max-connections", "16"]);
    let mut kept = Raw::connect(&server.url);
    let mut ask = || {
        kept.send(request("GET /api/health")).unwrap();
        assert_eq!(kept.answer().unwrap().status, 200);
    };
    ask();
    for _ in 0..10 {
        let _crowd = crowd(&server, 60);
        for _ in 0..5 {
            ask();
            thread::sleep(Duration::from_millis(20));
        }
    }
    ask();
    assert!(is_healthy(&server.url), "and who comes anew has a place within a second");
    let full = r#"gcs_uploader_connections_cut_total{reason="full"}"#;
    raw::wait_until("some were turned away", || metric(&server, full) > 0);
}

#[test]
fn after_a_storm_threads_and_descriptors_are_as_before() {
    raw::allow_many_descriptors();
    let store = Store::emulator();
    let server = Server::start(&store, &[]);
    assert!(raw::upload(&server.url).is_some());
    // Those that take requests from the second library are the last that it starts.
    raw::wait_until("it has all its threads", || raw::threads_named(&server.process, "front") == 2);
    // One for each worker, and one for each of the 128 + 32 + 16 requests that may be inside.
    raw::wait_until("it has all its threads", || status_of(&server.process, "Threads") >= 32 + 176);
    let threads = status_of(&server.process, "Threads");
    let descriptors = descriptors_of(&server.process);
    for _ in 0..3 {
        let mut crowd = crowd(&server, 400);
        for (number, raw) in crowd.iter_mut().enumerate() {
            let text = request(["GET /api/health", "GET /metrics", "X"][number % 3]);
            raw.send(&text[..text.len() - number % 4]).unwrap();
        }
    }
    raw::wait_until("threads and descriptors are as before", || {
        // Whoever looks may take one of each, and so may what the storm has set in motion at last.
        status_of(&server.process, "Threads") <= threads + 4
            && descriptors_of(&server.process) <= descriptors + 4
    });
    let peak = status_of(&server.process, "VmHWM");
    say(&format!("{threads} threads, {descriptors} descriptors, {peak} KiB at most"));
    assert!(peak < 96 << 10, "{peak} KiB");
}

#[test]
fn it_is_healthy_soon_after_its_start() {
    let store = Store::emulator();
    let began = Instant::now();
    let server = Server::start(&store, &[]);
    assert_eq!(server.get("/api/health").status, 200);
    say(&format!("healthy {:?} after the start", began.elapsed()));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}
