//! An upload that is asked for again, because the answer was lost, with the same Idempotency-Key:
//! one object, whoever answers and whenever.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod support;

use std::io::Write as _;
use std::net::TcpStream;
use std::thread;

use serde_json::Value;
use support::{Answer, Server, Store, gcs_uploader, http};

const KEY: &str = "8e03978e-40d5-43e8-bc93-6894a57f9324";

fn upload(server: &Server, key: &str, size: &str) -> Answer {
    upload_at(&server.url, key, size)
}

fn upload_at(url: &str, key: &str, size: &str) -> Answer {
    let url = format!("{url}/api/upload-random?size={size}");
    Answer::of(http().post(url).header("Idempotency-Key", key).send_empty().unwrap())
}

/// What an answer says of the object.
fn object(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 201, "{answer:?}");
    let object = answer.json();
    let fields = ["bucket", "name", "size", "crc32c", "generation", "contentType", "uri", "seed"];
    fields.iter().map(|field| object[field].clone()).collect()
}

#[test]
fn a_repeated_key_is_answered_with_the_same_object() {
    let store = Store::emulator();
    let server = Server::start(&store, &["--object-prefix", "reports/"]);
    let first = upload(&server, KEY, "300KiB");
    let again = upload(&server, &format!("\"{KEY}\""), "307200");
    assert_eq!(object(&first), object(&again));
    assert_eq!(first.header("location"), again.header("location"));
    assert_eq!(first.header("idempotency-replayed"), "");
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.json()["bytesSent"], 0);
    assert_eq!(store.names(), [first.json()["name"].as_str().unwrap()]);

    let page = String::from_utf8(server.get("/metrics").body).unwrap();
    for line in [
        "gcs_uploader_uploads_total{outcome=\"stored\"} 1",
        "gcs_uploader_uploads_total{outcome=\"replayed\"} 1",
        "gcs_uploader_stored_bytes_total 307200",
    ] {
        assert!(page.lines().any(|is| is == line), "{line}\nis not in\n{page}");
    }
}

#[test]
fn another_replica_and_another_process_answer_with_the_same_object() {
    let store = Store::emulator();
    let (one, other) = (Server::start(&store, &[]), Server::start(&store, &[]));
    let first = upload(&one, KEY, "1MiB");
    assert_eq!(object(&upload(&other, KEY, "1MiB")), object(&first));
    drop((one, other));
    let restarted = Server::start(&store, &["--upload-size", "1MiB"]);
    let url = format!("{}/api/upload-random", restarted.url);
    let answer = http().post(url).header("Idempotency-Key", KEY).send_empty().unwrap();
    assert_eq!(object(&Answer::of(answer)), object(&first));
    assert_eq!(store.names().len(), 1);
}

#[test]
fn a_client_that_vanished_gets_its_object_when_it_comes_back() {
    let store = Store::emulator();
    let mut server = Server::start(&store, &[]);
    let mut client = TcpStream::connect(server.url.trim_start_matches("http://")).unwrap();
    let head = format!(
        "POST /api/upload-random?size=1MiB HTTP/1.1\r\nHost: h\r\nIdempotency-Key: {KEY}\r\n\r\n"
    );
    client.write_all(head.as_bytes()).unwrap();
    drop(client);
    server.process.line_with("stored gs://");
    let again = upload(&server, KEY, "1MiB");
    assert_eq!(again.status, 201);
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(store.names().len(), 1);
}

#[test]
fn all_that_come_at_once_get_the_one_object() {
    let store = Store::emulator();
    let servers = [Server::start(&store, &[]), Server::start(&store, &[])];
    let answers: Vec<Answer> = thread::scope(|scope| {
        let urls = servers.iter().map(|server| &server.url).cycle().take(3);
        let threads: Vec<_> =
            urls.map(|url| scope.spawn(move || upload_at(url, KEY, "5MiB"))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for answer in &answers {
        assert_eq!(object(answer), object(&answers[0]));
    }
    assert_eq!(store.names().len(), 1);
}

#[test]
fn a_key_with_another_size_is_422_and_changes_nothing() {
    let store = Store::emulator();
    let server = Server::start(&store, &[]);
    let first = upload(&server, KEY, "1KiB");
    let name = first.json()["name"].as_str().unwrap().to_owned();
    for size in ["0", "3", "1025", "1MiB"] {
        let answer = upload(&server, KEY, size);
        assert_eq!(answer.status, 422, "{answer:?}");
        let problem = answer.json();
        assert_eq!(problem["type"], "urn:gcs-uploader:problem:idempotency-key-reused");
        assert_eq!((&problem["name"], &problem["retried"]), (&name.clone().into(), &0.into()));
        assert!(problem["detail"].as_str().unwrap().contains("its size is 1024 and not"));
    }
    assert_eq!(object(&upload(&server, KEY, "1KiB")), object(&first));
    assert_eq!(store.names(), [name]);
}

#[test]
fn an_object_of_no_bytes_is_the_same_too() {
    let store = Store::emulator();
    let server = Server::start(&store, &[]);
    assert_eq!(object(&upload(&server, KEY, "0")), object(&upload(&server, KEY, "0")));
}

#[test]
fn a_key_is_its_callers_own() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tokens");
    let mut lines = String::new();
    let tokens = ["one", "other", "other"].map(|name| {
        let output = gcs_uploader().args(["token", "new", name]).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let (token, line) = said.split_once('\n').unwrap();
        lines.push_str(line);
        token.to_owned()
    });
    std::fs::write(&path, lines).unwrap();
    let store = Store::emulator();
    let server = Server::start(&store, &["--api-tokens-file", path.to_str().unwrap()]);
    let [one, other, its_successor] = tokens.map(|token| {
        let request = http().post(format!("{}/api/upload-random?size=9", server.url));
        let request = request.header("Authorization", format!("Bearer {token}"));
        object(&Answer::of(request.header("Idempotency-Key", KEY).send_empty().unwrap()))
    });
    assert_ne!(one, other);
    assert_eq!(other, its_successor, "a token that replaces another has its name and its keys");
    assert_eq!(store.names().len(), 2);
}

#[test]
fn a_senseless_key_is_refused_with_the_form_that_is_expected() {
    let store = Store::emulator();
    let server = Server::start(&store, &[]);
    for key in ["", "a b", "\"a", "a,b", &"k".repeat(256)] {
        let answer = upload(&server, key, "1KiB");
        assert_eq!(answer.status, 400, "{key}");
        assert_eq!(answer.json()["type"], "urn:gcs-uploader:problem:bad-idempotency-key");
        assert!(answer.json()["detail"].as_str().unwrap().contains("1 to 255"));
    }
    assert_eq!(store.names(), Vec::<String>::new());
}

#[test]
fn without_a_key_every_upload_is_another() {
    let store = Store::emulator();
    let server = Server::start(&store, &[]);
    let uploads = [(); 2].map(|()| server.post("/api/upload-random?size=1KiB"));
    assert!(uploads.iter().all(|answer| answer.header("idempotency-replayed").is_empty()));
    assert_eq!(store.names().len(), 2);
}
