//! The main job: a random file lies in the bucket, with the size and the checksum that the answer
//! stated; in the project's own emulator of Cloud Storage, and in one that others wrote.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod support;

use gcs_uploader::content::{Content as _, Crc32c, RandomContent, Seed};
use serde_json::Value;
use support::{Answer, Process, Server, Store, gcs_uploader};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const SIZES: [u64; 7] = [0, 1, 256 * KIB - 1, 256 * KIB, 256 * KIB + 1, 10 * MIB, 100 * MIB];

#[test]
fn every_size_arrives_in_the_emulator() {
    every_size_arrives(&Store::emulator());
}

// fake-gcs-server departs from Cloud Storage where things go wrong, as when a status is asked for;
// in an upload that goes well it is a second opinion.
#[test]
fn every_size_arrives_in_fake_gcs_server() {
    every_size_arrives(&Store::fake_gcs_server());
}

fn every_size_arrives(store: &Store) {
    let server = Server::start(store, &[]);
    for size in SIZES {
        let answer = server.post(&format!("/api/upload-random?size={size}"));
        assert_eq!(answer.status, 201, "{size}: {answer:?}");
        stored_as_answered(store, &answer, size);
    }
}

/// The object is what the answer says, and what its seed says.
fn stored_as_answered(store: &Store, answer: &Answer, size: u64) {
    let stated = answer.json();
    let name = text(&stated, "name");
    let seed = Seed::from_hex(&text(&stated, "seed")).expect("a seed");
    let content = RandomContent::new(seed, size);

    assert_eq!(stated["size"], size);
    assert_eq!(stated["bucket"], "bucket");
    assert_eq!(stated["contentType"], "application/octet-stream");
    assert_eq!(stated["uri"], format!("gs://bucket/{name}"));
    assert_eq!(stated["crc32c"], content.crc32c().to_string());
    assert_eq!((&stated["resumed"], &stated["retried"]), (&0.into(), &0.into()));

    let metadata = store.metadata(&name);
    // fake-gcs-server leaves the size out where it is nothing.
    assert_eq!(metadata["size"].as_str().unwrap_or("0"), size.to_string());
    for field in ["name", "bucket", "crc32c", "generation", "contentType"] {
        assert_eq!(metadata[field], stated[field], "{field}");
    }
    assert_eq!(metadata["metadata"]["seed"], stated["seed"]);

    let bytes = store.bytes(&name);
    assert_eq!(bytes.len() as u64, size);
    assert_eq!(Crc32c::of(&bytes), content.crc32c());
    assert!(bytes == all_bytes(&content), "the bytes are not those of the seed");
}

fn all_bytes(content: &RandomContent) -> Vec<u8> {
    let mut bytes = vec![0; content.size() as usize];
    let mut offset = 0;
    while offset < bytes.len() {
        offset += content.read_at(offset as u64, &mut bytes[offset..]).unwrap();
    }
    bytes
}

fn text(json: &Value, field: &str) -> String {
    json[field].as_str().unwrap_or_else(|| panic!("{field} in {json}")).to_owned()
}

#[test]
fn files_are_named_under_the_prefix_and_all_differ() {
    let store = Store::emulator();
    let server =
        Server::start(&store, &["--object-prefix", "reports/2026/", "--upload-size", "1KiB"]);
    let names: Vec<_> =
        (0..10).map(|_| text(&server.post("/api/upload-random").json(), "name")).collect();
    assert!(names.iter().all(|name| name.starts_with("reports/2026/")));
    assert_eq!(store.names(), names, "the names list in the order in which they were made");
}

#[test]
fn the_location_is_the_objects_url() {
    let store = Store::emulator();
    let server = Server::start(&store, &[]);
    let answer = server.post("/api/upload-random?size=1KiB");
    let found = support::http().get(answer.header("location")).call().unwrap();
    assert_eq!(Answer::of(found).json()["name"], answer.json()["name"]);
}

#[test]
fn the_embedded_stand_in_says_what_it_is_and_keeps_files_where_it_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = gcs_uploader();
    command.args(["serve", "--listen", "127.0.0.1:0"]);
    command.arg(format!("--emulator={}", dir.path().display()));
    let mut process = Process::start(command);
    process.line_with("Emulator: objects are kept as files in");
    let server = Server::of(process);
    let answer = server.post("/api/upload-random?size=12345");
    assert_eq!(answer.json()["bucket"], "demo-bucket");
    let seed = Seed::from_hex(&text(&answer.json(), "seed")).unwrap();
    let content = all_bytes(&RandomContent::new(seed, 12345));
    let file = dir.path().join("demo-bucket").join(text(&answer.json(), "name"));
    assert!(std::fs::read(file).unwrap() == content);
}

#[test]
fn the_command_line_uploads_and_prints_a_line_for_each_object() {
    let store = Store::emulator();
    let output = gcs_uploader()
        .args(["upload", "--size", "300KiB", "--count", "3", "--bucket", "bucket"])
        .args(["--storage-emulator-host", &store.url])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stderr.is_empty(), "no progress bar where nobody looks: {output:?}");
    let lines: Vec<Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 3);
    for line in lines {
        let metadata = store.metadata(&text(&line, "name"));
        assert_eq!(metadata["crc32c"], line["crc32c"]);
        assert_eq!(metadata["size"], "307200");
    }
}

#[test]
fn the_command_line_fails_when_an_object_is_not_there() {
    let store = Store::emulator();
    let output = gcs_uploader()
        .args(["upload", "--bucket", "no-such-bucket", "--storage-emulator-host", &store.url])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("404") && said.contains("GCS_BUCKET"), "{said}");
}

#[test]
fn check_takes_every_step_and_leaves_nothing_behind() {
    let store = Store::emulator();
    let output = gcs_uploader()
        .args(["check", "--bucket", "bucket", "--storage-emulator-host", &store.url])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said.matches('✓').count(), 5, "{said}");
    assert!(store.names().is_empty());
}

#[test]
fn check_says_which_object_it_left_where_it_may_not_delete() {
    let store = Store::emulator();
    let fault = r#"{"on":"delete","action":{"status":{"status":403}}}"#;
    let ordered = support::http().post(format!("{}/_emulator/faults", store.url)).send(fault);
    assert_eq!(ordered.unwrap().status(), 200);
    let output = gcs_uploader()
        .args(["check", "--bucket", "bucket", "--storage-emulator-host", &store.url])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "the least-privilege role may not: {output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    let [left] = &store.names()[..] else { panic!("one object: {said}") };
    assert!(said.contains(&format!("gs://bucket/{left} is left behind")), "{said}");
}

#[test]
fn check_names_the_step_that_fails() {
    let store = Store::emulator();
    let output = gcs_uploader()
        .args(["check", "--bucket", "no-such-bucket", "--storage-emulator-host", &store.url])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("✗ not writable") && said.contains("404"), "{said}");
}
