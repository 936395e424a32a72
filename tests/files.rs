//! Clients' own files, sent with curl as people send them: each lies in the bucket with the bytes
//! that it has on the disk; in the project's own stand-in for Cloud Storage, and in one that others
//! wrote.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod support;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use gcs_uploader::content::{Content as _, Crc32c, RandomContent, Seed};
use serde_json::Value;
use support::{Server, Store};
use tempfile::TempDir;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// Sizes at which something changes, with a window of 1 MiB.
const SIZES: [u64; 9] =
    [0, 1, 256 * KIB - 1, 256 * KIB, 256 * KIB + 1, MIB - 1, MIB, MIB + 1, 20 * MIB];

/// A file of random bytes on the disk.
fn file(directory: &TempDir, name: &str, size: u64) -> PathBuf {
    let content = RandomContent::new(Seed::random(), size);
    let mut bytes = vec![0; usize::try_from(size).unwrap()];
    let mut offset = 0;
    while offset < bytes.len() {
        offset += content.read_at(offset as u64, &mut bytes[offset..]).unwrap();
    }
    let path = directory.path().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

/// Runs curl, with this for its standard input; the status and the answer.
fn curl(arguments: &[&str], input: Stdio) -> (u16, Value) {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--max-time", "60", "--write-out", "\n%{http_code}"]);
    let output = command.args(arguments).stdin(input).output().expect("curl is there");
    let said = String::from_utf8(output.stdout).unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {error} {said}");
    let (body, status) = said.rsplit_once('\n').unwrap();
    let body = serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {said}"));
    (status.parse().unwrap(), body)
}

/// The answer says what the file is, and the object is the file.
#[track_caller]
fn arrived(store: &Store, answer: &Value, name: &str, path: &Path) {
    let bytes = fs::read(path).unwrap();
    assert_eq!(answer["name"], name, "{answer}");
    assert_eq!(answer["size"], bytes.len(), "{answer}");
    assert_eq!(answer["crc32c"], Crc32c::of(&bytes).to_string(), "{answer}");
    assert!(store.bytes(name) == bytes, "{name} has other bytes");
}

fn every_size_arrives_every_way(store: &Store) {
    let server = Server::start(store, &["--upload-window", "1MiB"]);
    let directory = tempfile::tempdir().unwrap();
    for size in SIZES {
        let path = file(&directory, &format!("{size}.bin"), size);
        let text = path.to_str().unwrap();
        let url = |rest: &str| format!("{}/api/upload{rest}", server.url);

        let (status, answer) = curl(&["--upload-file", text, &url("/")], Stdio::null());
        assert_eq!(status, 201, "{answer}");
        arrived(store, &answer, &format!("{size}.bin"), &path);

        let named = url(&format!("?name=binary/{size}"));
        let data = format!("@{text}");
        let (status, answer) = curl(&["--data-binary", &data, &named], Stdio::null());
        assert_eq!(status, 201, "{answer}");
        arrived(store, &answer, &format!("binary/{size}"), &path);

        let part = format!("file=@{text};filename=form-{size}");
        let (status, answer) = curl(&["--form", &part, &url("")], Stdio::null());
        assert_eq!(status, 201, "{answer}");
        arrived(store, &answer["uploads"][0], &format!("form-{size}"), &path);

        let named = url(&format!("?name=chunked/{size}"));
        let input = Stdio::from(File::open(&path).unwrap());
        let (status, answer) = curl(&["--upload-file", "-", &named], input);
        assert_eq!(status, 201, "{answer}");
        arrived(store, &answer, &format!("chunked/{size}"), &path);
    }
    assert_eq!(store.names().len(), 4 * SIZES.len());
}

#[test]
fn every_size_arrives_every_way_in_the_emulator() {
    every_size_arrives_every_way(&Store::emulator());
}

#[test]
fn every_size_arrives_every_way_in_fake_gcs_server() {
    every_size_arrives_every_way(&Store::fake_gcs_server());
}

#[test]
fn all_files_of_a_form_arrive_under_their_names() {
    let store = Store::emulator();
    let server = Server::start(&store, &["--upload-window", "256KiB", "--object-prefix", "in/"]);
    let directory = tempfile::tempdir().unwrap();
    let names = ["ä b.txt", "one.png", "two \"quoted\".csv"];
    let paths = names.map(|name| file(&directory, name, 300 * KIB));
    let parts = paths.each_ref().map(|path| {
        let path = path.to_str().unwrap().replace('"', "\\\"");
        format!("file=@\"{path}\"")
    });
    let url = format!("{}/api/upload", server.url);
    let mut arguments = vec!["--form", "note=not a file", "--form-escape"];
    parts.iter().for_each(|part| arguments.extend(["--form", part.as_str()]));
    arguments.push(&url);
    let (status, answer) = curl(&arguments, Stdio::null());
    assert_eq!(status, 201, "{answer}");
    let uploads = answer["uploads"].as_array().unwrap();
    assert_eq!(uploads.len(), names.len());
    for ((upload, name), path) in uploads.iter().zip(names).zip(&paths) {
        arrived(&store, upload, &format!("in/{name}"), path);
    }
    assert_eq!(uploads[1]["contentType"], "image/png");
}

#[test]
fn a_name_that_is_taken_is_409_and_the_object_stays_as_it_was() {
    let store = Store::emulator();
    let server = Server::start(&store, &[]);
    let directory = tempfile::tempdir().unwrap();
    let (first, second) = (file(&directory, "a.txt", 1000), file(&directory, "b", 20 * MIB));
    let url = |rest: &str| format!("{}/api/upload{rest}", server.url);
    let (status, answer) =
        curl(&["--upload-file", first.to_str().unwrap(), &url("/")], Stdio::null());
    assert_eq!(status, 201, "{answer}");
    let send =
        |rest: &str| curl(&["--upload-file", second.to_str().unwrap(), &url(rest)], Stdio::null());
    let (status, answer) = send("?name=a.txt");
    assert_eq!((status, &answer["object"]), (409, &"none".into()), "{answer}");
    assert_eq!(answer["type"], "urn:gcs-uploader:problem:object-exists");
    assert_eq!(store.bytes("a.txt"), fs::read(&first).unwrap());
    let (status, answer) = send("?name=a.txt&unique=1");
    assert_eq!(status, 201, "{answer}");
    let name = answer["name"].as_str().unwrap();
    assert!(name.starts_with("a-") && name.ends_with(".txt"), "{name}");
    assert_eq!(store.names().len(), 2);
}

#[test]
fn a_checksum_that_the_bytes_do_not_have_leaves_no_object() {
    let store = Store::emulator();
    let server = Server::start(&store, &["--upload-window", "1MiB"]);
    let directory = tempfile::tempdir().unwrap();
    let path = file(&directory, "a", 3 * MIB + 5);
    let crc32c = Crc32c::of(&fs::read(&path).unwrap());
    let send = |header: &str| {
        let url = format!("{}/api/upload?name=a", server.url);
        let path = path.to_str().unwrap();
        curl(&["--header", header, "--upload-file", path, &url], Stdio::null())
    };
    for header in [
        "x-goog-hash: crc32c=AAAAAA==",
        "Content-MD5: 1B2M2Y8AsgTpgAmY7PhCfg==",
        "Repr-Digest: sha-256=:uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=:",
    ] {
        let (status, answer) = send(header);
        assert_eq!((status, &answer["object"]), (422, &"none".into()), "{answer}");
        assert!(store.names().is_empty());
    }
    let (status, answer) = send(&format!("x-goog-hash: crc32c={crc32c}"));
    assert_eq!(status, 201, "{answer}");
    arrived(&store, &answer, "a", &path);
}

#[test]
fn who_has_no_token_for_it_sends_nothing() {
    let store = Store::emulator();
    let directory = tempfile::tempdir().unwrap();
    let tokens = directory.path().join("tokens");
    fs::write(&tokens, format!("sha256:{} ci\n", "0".repeat(64))).unwrap();
    let server = Server::start(&store, &["--api-tokens-file", tokens.to_str().unwrap()]);
    let path = file(&directory, "a", 20 * MIB);
    let url = format!("{}/api/upload/", server.url);
    let output = Command::new("curl")
        .args(["--silent", "--output", "/dev/null", "--write-out", "%{http_code} %{size_upload}"])
        .args(["--expect100-timeout", "30", "--upload-file", path.to_str().unwrap(), &url])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "401 0");
}

#[test]
fn the_object_says_whose_token_and_which_request_it_was() {
    let store = Store::emulator();
    let directory = tempfile::tempdir().unwrap();
    let tokens = directory.path().join("tokens");
    // Of `a-token`.
    let print = "1f6076e3a47ba1ded08025ffe06e57af217c14f9407f33fba50f99b1c7019387";
    fs::write(&tokens, format!("sha256:{print} ci\n")).unwrap();
    let server = Server::start(&store, &["--api-tokens-file", tokens.to_str().unwrap()]);
    let path = file(&directory, "a", 1000);
    let headers =
        ["--header", "Authorization: Bearer a-token", "--header", "X-Request-Id: order-7"];
    let url = format!("{}/api/upload/", server.url);
    let send = ["--upload-file", path.to_str().unwrap(), &url];
    let (status, answer) = curl(&[&headers[..], &send].concat(), Stdio::null());
    assert_eq!(status, 201, "{answer}");
    let metadata = &store.metadata("a")["metadata"];
    assert_eq!(*metadata, serde_json::json!({"uploaded-by": "ci", "request-id": "order-7"}));
}

#[test]
fn a_window_that_is_none_ends_the_start() {
    for size in ["0", "100KiB", "300KiB", "2GiB"] {
        let output = support::gcs_uploader()
            .args(["serve", "--bucket", "bucket", "--upload-window", size])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{size}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("256KiB"), "{said}");
    }
}
