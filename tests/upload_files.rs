//! Real files and standard input, uploaded by the command line: each is in the bucket, whole, or the
//! exit status and standard error say that it is not, and why.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod support;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use gcs_uploader::content::{Content as _, Crc32c, RandomContent, Seed};
#[cfg(feature = "emulator")]
use gcs_uploader::emulator::{Action, Break, RequestKind, Rule};
use serde_json::Value;
use support::{PATIENCE, Process, Store, gcs_uploader};
use tempfile::TempDir;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// Around nothing, a step of Cloud Storage's, a window of 512 KiB, and several.
const SIZES: [u64; 12] = [
    0,
    1,
    256 * KIB - 1,
    256 * KIB,
    256 * KIB + 1,
    512 * KIB - 1,
    512 * KIB,
    512 * KIB + 1,
    1024 * KIB - 1,
    1024 * KIB,
    1024 * KIB + 1,
    20 * MIB,
];

fn bytes(size: u64) -> Vec<u8> {
    let content = RandomContent::new(Seed::new(size.into()), size);
    let mut bytes = vec![0; size as usize];
    let mut offset = 0;
    while offset < bytes.len() {
        offset += content.read_at(offset as u64, &mut bytes[offset..]).unwrap();
    }
    bytes
}

struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }
}

fn upload(store: &Store) -> Command {
    let mut command = gcs_uploader();
    command.args(["upload", "--bucket", "bucket", "--storage-emulator-host", &store.url]);
    command
}

/// Runs `command` with `input` on its standard input.
fn with_input(mut command: Command, input: &[u8]) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        // A process that ends early reads no more: that shows in its output.
        scope.spawn(move || {
            let _ = stdin.write_all(input);
        });
        child.wait_with_output().unwrap()
    })
}

fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The object is what the line says, and these bytes.
fn stored(store: &Store, line: &Value, bytes: &[u8]) {
    let name = line["name"].as_str().unwrap();
    let metadata = store.metadata(name);
    assert_eq!(line["size"], bytes.len() as u64);
    assert_eq!(line["crc32c"], Crc32c::of(bytes).to_string());
    assert_eq!(line["uri"], format!("gs://bucket/{name}"));
    for field in ["name", "bucket", "crc32c", "generation", "contentType"] {
        assert_eq!(metadata[field], line[field], "{field}");
    }
    assert!(store.bytes(name) == bytes, "the bytes of {name}");
}

#[test]
fn files_of_every_size_arrive_in_the_emulator() {
    files_of_every_size_arrive(&Store::emulator());
}

#[test]
fn files_of_every_size_arrive_in_fake_gcs_server() {
    files_of_every_size_arrive(&Store::fake_gcs_server());
}

fn files_of_every_size_arrive(store: &Store) {
    let files = Files::new();
    let contents: Vec<_> = SIZES.into_iter().map(bytes).collect();
    let paths = contents.iter().map(|bytes| files.file(&format!("{}.csv", bytes.len()), bytes));
    let output = upload(store)
        .args(["--object-prefix", "in/"])
        .args(paths.collect::<Vec<_>>())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    let lines = lines(&output);
    assert_eq!(lines.len(), SIZES.len());
    for (line, bytes) in lines.iter().zip(contents) {
        assert_eq!(line["name"], format!("in/{}.csv", bytes.len()));
        assert_eq!(line["contentType"], "text/csv");
        assert_eq!(line["file"], files.path(&format!("{}.csv", bytes.len())).to_str().unwrap());
        stored(store, line, &bytes);
    }
}

#[test]
fn standard_input_of_every_size_arrives_in_the_emulator() {
    standard_input_of_every_size_arrives(&Store::emulator());
}

// A stream goes part by part, which fake-gcs-server takes as Cloud Storage does as long as nothing
// goes wrong: of bytes that are sent again it would make a wrong object, and of a status query one
// that is cut short. It ignores x-goog-hash, so that only the answer's checksum is compared here.
#[test]
fn standard_input_of_every_size_arrives_in_fake_gcs_server() {
    standard_input_of_every_size_arrives(&Store::fake_gcs_server());
}

fn standard_input_of_every_size_arrives(store: &Store) {
    for size in SIZES {
        let mut command = upload(store);
        command.args(["--upload-window", "512KiB", "--name", &format!("stream/{size}.txt"), "-"]);
        let bytes = bytes(size);
        let output = with_input(command, &bytes);
        assert_eq!(output.status.code(), Some(0), "{size}: {output:?}");
        let [line] = &lines(&output)[..] else { panic!("one line: {output:?}") };
        assert_eq!(line["name"], format!("stream/{size}.txt"));
        assert_eq!(line["contentType"], "text/plain");
        assert_eq!((&line["retried"], &line["bytesSent"]), (&0.into(), &size.into()));
        stored(store, line, &bytes);
    }
}

#[test]
fn standard_input_without_a_name_gets_one_of_its_own() {
    let store = Store::emulator();
    let mut command = upload(&store);
    command.args(["-", "--object-prefix", "in/", "--content-type", "image/png"]);
    let output = with_input(command, b"png");
    let [line] = &lines(&output)[..] else { panic!("one line: {output:?}") };
    assert!(line["name"].as_str().unwrap().starts_with("in/"));
    assert_eq!(line["contentType"], "image/png");
    stored(&store, line, b"png");
}

#[test]
fn a_name_that_is_taken_is_never_overwritten() {
    let store = Store::emulator();
    let files = Files::new();
    let path = files.file("a.txt", b"first");
    assert_eq!(upload(&store).arg(&path).output().unwrap().status.code(), Some(0));
    let path = files.file("a.txt", b"second");
    let file = upload(&store).arg(&path).output().unwrap();
    let mut command = upload(&store);
    command.args(["--name", "a.txt", "-"]);
    for output in [file, with_input(command, b"third")] {
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(output.stdout.is_empty());
        let said = said(&output);
        assert!(
            said.contains("another object has this name") && said.contains("--unique"),
            "{said}"
        );
    }
    assert_eq!(store.bytes("a.txt"), b"first");

    let output = upload(&store).arg("--unique").arg(&path).output().unwrap();
    let [line] = &lines(&output)[..] else { panic!("one line: {output:?}") };
    let name = line["name"].as_str().unwrap();
    assert!(name.starts_with("a-") && name.ends_with(".txt"), "{name}");
    stored(&store, line, b"second");
}

// A file that is already there, byte for byte, is there: uploading it once more says so.
#[test]
fn a_file_that_was_uploaded_before_is_there() {
    let store = Store::emulator();
    let path = Files::new();
    let path = path.file("a.txt", b"same");
    let once = upload(&store).arg(&path).output().unwrap();
    let again = upload(&store).arg(&path).output().unwrap();
    assert_eq!((once.status.code(), again.status.code()), (Some(0), Some(0)));
    assert_eq!(lines(&once)[0]["generation"], lines(&again)[0]["generation"]);
    assert_eq!(lines(&again)[0]["bytesSent"], 0);
}

/// A file that changes between being read through and being sent: until the test has changed it, the
/// store answers that it is busy.
#[cfg(feature = "emulator")]
fn changed_while_it_is_uploaded(change: impl FnOnce(&Path)) -> (Output, Vec<String>) {
    let rig = support::rig::Rig::new();
    let busy = Action::Status { status: 503, retry_after: None };
    rig.emulator.faults().inject(Rule::on(RequestKind::Start, busy).times(100_000));
    let files = Files::new();
    let path = files.file("a.txt", &bytes(300 * KIB));
    let address = rig.emulator.addr().to_string();
    let mut command = gcs_uploader();
    command.args(["upload", "--bucket", "bucket", "--storage-emulator-host", &address]);
    command.arg(&path).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let began = Instant::now();
    while rig.emulator.faults().requests().is_empty() {
        assert!(began.elapsed() < PATIENCE, "no upload is ever started");
        std::thread::yield_now();
    }
    change(&path);
    rig.emulator.faults().clear();
    let output = child.wait_with_output().unwrap();
    let objects = rig.emulator.objects("bucket");
    (output, objects.into_iter().map(|object| object.name).collect())
}

#[cfg(feature = "emulator")]
#[test]
fn a_file_that_changes_meanwhile_makes_no_object() {
    let (output, objects) = changed_while_it_is_uploaded(|path| {
        fs::write(path, bytes(300 * KIB + 1).split_off(1)).unwrap();
    });
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = said(&output);
    assert!(said.contains("400") && said.contains("changed meanwhile: upload it again"), "{said}");
    assert!(objects.is_empty());
}

#[cfg(feature = "emulator")]
#[test]
fn a_file_that_becomes_shorter_meanwhile_makes_no_object() {
    let (output, objects) = changed_while_it_is_uploaded(|path| {
        fs::write(path, b"short").unwrap();
    });
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = said(&output);
    assert!(said.contains("the file had 307200 bytes, and now ends at 5"), "{said}");
    assert!(said.contains("changed meanwhile: upload it again"), "{said}");
    assert!(objects.is_empty());
}

/// Uploads 3 MiB of standard input in windows of 512 KiB, to a store with these faults.
#[cfg(feature = "emulator")]
fn stream_under(rules: impl IntoIterator<Item = Rule>) -> (Output, support::rig::Rig) {
    let rig = support::rig::Rig::with(rules);
    let mut command = gcs_uploader();
    let address = rig.emulator.addr().to_string();
    command.args(["upload", "--bucket", "bucket", "--storage-emulator-host", &address]);
    command.args(["--upload-window", "512KiB", "--name", "stream", "-"]);
    let output = with_input(command, &bytes(3 * MIB));
    assert_eq!(rig.emulator.faults().violations(), []);
    (output, rig)
}

#[cfg(feature = "emulator")]
#[test]
fn standard_input_arrives_whole_although_connections_break() {
    let reset = |bytes| Action::BreakAfterRequestBytes { bytes, with: Break::Reset };
    let lost = Action::BreakBeforeResponse { with: Break::Close };
    let (output, rig) = stream_under([
        Rule::on(RequestKind::Data, reset(300 * KIB)),
        Rule::on(RequestKind::Data, reset(0)).after(2),
        Rule::on(RequestKind::Data, lost).after(5),
        Rule::on(RequestKind::Data, Action::PersistAtMost { bytes: 256 * KIB }).after(1),
    ]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let [line] = &lines(&output)[..] else { panic!("one line: {output:?}") };
    assert!(line["resumed"].as_u64() >= Some(3), "{line}");
    assert_eq!(rig.emulator.faults().pending(), [], "every fault has happened");
    assert!(rig.emulator.content("bucket", "stream").unwrap() == bytes(3 * MIB));
    assert_eq!(line["crc32c"], Crc32c::of(&bytes(3 * MIB)).to_string());
}

#[cfg(feature = "emulator")]
#[test]
fn standard_input_that_cloud_storage_has_lost_makes_no_object_and_is_told() {
    let (output, rig) =
        stream_under([Rule::on(RequestKind::Data, Action::LoseSession { status: 410 }).after(3)]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = said(&output);
    assert!(said.contains("the first 1572864 bytes cannot be had again"), "{said}");
    assert!(said.contains("send the whole of it once more"), "{said}");
    assert!(rig.emulator.objects("bucket").is_empty());
}

#[test]
fn what_cannot_be_uploaded_is_told_and_the_rest_is_uploaded_all_the_same() {
    let store = Store::emulator();
    let files = Files::new();
    let good = files.file("good", b"good");
    let odd = files.file("line\nbreak", b"");
    let directory = files.0.path();
    let output = upload(&store)
        .args([Path::new("no-such-file"), directory, &odd, Path::new("/dev/null"), &good])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = said(&output);
    for what in [
        "no-such-file: No such file",
        "this is a directory",
        "control character '\\n'",
        "/dev/null: not a regular file",
    ] {
        assert!(said.contains(what), "{what}: {said}");
    }
    assert_eq!(store.names(), ["good"]);
    stored(&store, &lines(&output)[0], b"good");
}

#[test]
fn invalid_arguments_are_rejected_before_anything_is_uploaded() {
    let store = Store::emulator();
    let files = Files::new();
    let file = files.file("a", b"a").to_str().unwrap().to_owned();
    for (arguments, what) in [
        (&["--name", "../b", &file][..], "contains the segment \"..\""),
        (&["--name", "/b", &file], "begin or end with a slash"),
        (&["--name", "b", &file, &file], "give one FILE"),
        (&["--name", "b"], "FILE"),
        (&["--count", "2", &file], "--count"),
        (&["-", "-"], "only once"),
        (&["--upload-window", "1MB", "-"], "multiple of 256KiB"),
        (&["--content-type", "html", &file], "text/csv"),
    ] {
        let output = upload(&store).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(said(&output).contains(what), "{arguments:?}: {}", said(&output));
    }
    assert!(store.names().is_empty());
}

#[test]
fn a_signal_ends_the_wait_for_standard_input_and_leaves_no_object() {
    let store = Store::emulator();
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(b"not all of it").unwrap();
    let mut command = upload(&store);
    command.args(["--name", "cut", "-"]);
    let process = Process::fed(command, reader.into());
    let began = Instant::now();
    while rustix::io::ioctl_fionread(&writer).unwrap() > 0 {
        assert!(began.elapsed() < PATIENCE, "standard input is never read");
        std::thread::yield_now();
    }
    process.signal("INT");
    let (status, said) = process.wait();
    assert_eq!(status, Some(130), "{said:?}");
    assert!(said.iter().any(|line| line.contains("told to stop")), "{said:?}");
    assert!(store.names().is_empty());
    drop(writer);
}

#[test]
fn the_exit_status_is_a_part_of_the_help() {
    let output = gcs_uploader().args(["upload", "--help"]).output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    for status in ["Exit status:", "  0 ", "  1 ", "  2 ", "  130 "] {
        assert!(help.contains(status), "{status}: {help}");
    }
}
