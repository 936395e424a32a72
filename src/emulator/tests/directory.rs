//! Storage in a directory.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::emulator::StartError;

fn emulator_in(root: &Path) -> Emulator {
    emulator_on(StoreKind::Directory(root.to_owned()))
}

#[test]
fn objects_are_files() {
    let root = TempDir::new().unwrap();
    let emulator = emulator_in(root.path());
    let content = bytes(2 * STEP + 3);
    let session = Session::start(&emulator, "a/b");
    assert_eq!(session.put_part(&content, 0, STEP).status, 308);
    assert!(!root.path().join("pictures/a").exists());
    assert_eq!(session.put_part(&content, STEP, content.len()).status, 200);
    assert!(fs::read(root.path().join("pictures/a/b")).unwrap() == content);
    assert_eq!(get(&emulator, &format!("{OBJECTS}/a%2Fb?alt=media")).body, content);
}

#[test]
fn objects_outlive_the_emulator_and_uploads_do_not() {
    let root = TempDir::new().unwrap();
    let names = ["a", "a/b", "a//b", "../a", "folder/", ".emulator/x", &"n".repeat(600), "ä b"];
    let emulator = emulator_in(root.path());
    for name in names {
        put(&emulator, name, name.as_bytes());
    }
    let before = get(&emulator, &format!("{OBJECTS}/a")).json();
    let unfinished = Session::start(&emulator, "unfinished");
    assert_eq!(unfinished.put_part(&bytes(2 * STEP), 0, STEP).status, 308);
    let target = unfinished.target.clone();
    drop(emulator);

    let emulator = emulator_in(root.path());
    let mut expected = names.to_vec();
    expected.sort_unstable();
    let objects = emulator.objects(BUCKET);
    assert_eq!(objects.iter().map(|object| object.name.as_str()).collect::<Vec<_>>(), expected);
    for name in names {
        assert_eq!(emulator.content(BUCKET, name).unwrap(), name.as_bytes());
    }
    let after = get(&emulator, &format!("{OBJECTS}/a")).json();
    assert_eq!(after["generation"], before["generation"]);
    assert_eq!(after["md5Hash"], before["md5Hash"]);
    assert_eq!(after["timeCreated"], before["timeCreated"]);
    assert_eq!(request(&emulator, "PUT", &target, &[], b"x").status, 404);
    assert_eq!(fs::read_dir(root.path().join("pictures/.emulator/uploads")).unwrap().count(), 0);
    let again = put(&emulator, "a", b"again")["generation"].as_str().unwrap().to_owned();
    assert!(again.as_str() > before["generation"].as_str().unwrap());
}

#[test]
fn object_names_never_escape_the_directory() {
    let root = TempDir::new().unwrap();
    let inside = root.path().join("inside");
    let emulator = emulator_in(&inside);
    for name in ["../../escaped", "/escaped", "..", "a/../../../escaped"] {
        let target = format!("{UPLOADS}?uploadType=media&name={}", name.replace('/', "%2F"));
        request(&emulator, "POST", &target, &[], b"x");
    }
    fs::create_dir(root.path().join("outside")).unwrap();
    std::os::unix::fs::symlink(root.path().join("outside"), inside.join("pictures/link")).unwrap();
    put(&emulator, "link/escaped", b"x");
    assert_eq!(emulator.content(BUCKET, "link/escaped").unwrap(), b"x");
    assert_eq!(fs::read_dir(root.path().join("outside")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 2);
}

#[test]
fn foreign_file_is_neither_listed_nor_touched() {
    let root = TempDir::new().unwrap();
    fs::create_dir_all(root.path().join("pictures")).unwrap();
    fs::write(root.path().join("pictures/mine"), "mine").unwrap();
    let emulator = emulator_in(root.path());
    assert_eq!(emulator.objects(BUCKET), []);
    put(&emulator, "mine", b"object");
    assert_eq!(emulator.content(BUCKET, "mine").unwrap(), b"object");
    assert_eq!(request(&emulator, "DELETE", &format!("{OBJECTS}/mine"), &[], b"").status, 204);
    assert_eq!(fs::read(root.path().join("pictures/mine")).unwrap(), b"mine");
}

#[test]
fn replacing_and_deleting_leave_nothing_behind() {
    let root = TempDir::new().unwrap();
    let emulator = emulator_in(root.path());
    for content in [&b"one"[..], b"two", b"three"] {
        put(&emulator, "a/b/c", content);
        put(&emulator, "a/b/c/d", content);
    }
    assert_eq!(fs::read(root.path().join("pictures/a/b/c")).unwrap(), b"three");
    for name in ["a%2Fb%2Fc", "a%2Fb%2Fc%2Fd"] {
        assert_eq!(
            request(&emulator, "DELETE", &format!("{OBJECTS}/{name}"), &[], b"").status,
            204
        );
    }
    let bucket = root.path().join("pictures");
    assert_eq!(fs::read_dir(&bucket).unwrap().count(), 1);
    for folder in ["objects", "content", "uploads"] {
        assert_eq!(fs::read_dir(bucket.join(".emulator").join(folder)).unwrap().count(), 0);
    }
}

#[test]
fn after_a_kill_during_a_replacement_the_object_matches_its_content() {
    let root = TempDir::new().unwrap();
    let bucket = root.path().join("pictures");
    let entries = bucket.join(".emulator/objects");
    let only_entry = || fs::read_dir(&entries).unwrap().next().unwrap().unwrap().path();
    let emulator = emulator_in(root.path());
    put(&emulator, "a", b"old");
    let old_entry = (only_entry(), fs::read(only_entry()).unwrap());
    put(&emulator, "a", b"new");
    let new_entry = (only_entry(), fs::read(only_entry()).unwrap());
    drop(emulator);
    for (content, size_of_both) in [(&b"old"[..], 3), (b"new", 3)] {
        for (path, text) in [&old_entry, &new_entry] {
            fs::write(path, text).unwrap();
        }
        fs::write(bucket.join("a"), content).unwrap();
        let emulator = emulator_in(root.path());
        let objects = emulator.objects(BUCKET);
        assert_eq!((objects.len(), objects[0].size), (1, size_of_both));
        assert_eq!(objects[0].crc32c, crc32c::crc32c(content));
        assert_eq!(emulator.content(BUCKET, "a").unwrap(), content);
    }
}

#[test]
fn metadata_without_content_is_dropped() {
    let root = TempDir::new().unwrap();
    put(&emulator_in(root.path()), "a", b"content");
    fs::write(root.path().join("pictures/a"), "shorter").unwrap();
    fs::remove_file(root.path().join("pictures/a")).unwrap();
    fs::write(root.path().join("pictures/.emulator/objects/7.json"), "{").unwrap();
    assert_eq!(emulator_in(root.path()).objects(BUCKET), []);
}

#[test]
fn directory_is_locked_for_one_emulator() {
    let root = TempDir::new().unwrap();
    let config = || Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        store: StoreKind::Directory(root.path().to_owned()),
        buckets: Vec::new(),
    };
    let first = Emulator::start(config()).unwrap();
    let error = Emulator::start(config()).unwrap_err();
    assert!(matches!(error, StartError::Directory(_)), "{error}");
    assert!(error.to_string().contains("in use by another emulator"), "{error}");
    drop(first);
    Emulator::start(config()).unwrap();
}

#[test]
fn start_error_names_the_directory_bucket_or_address() {
    let root = TempDir::new().unwrap();
    let file = root.path().join("file");
    fs::write(&file, "").unwrap();
    let start = |listen: &str, store, bucket: &str| {
        let config =
            Config { listen: listen.parse().unwrap(), store, buckets: vec![bucket.into()] };
        Emulator::start(config).unwrap_err().to_string()
    };
    let message = start("127.0.0.1:0", StoreKind::Directory(file.clone()), BUCKET);
    assert!(message.contains(file.to_str().unwrap()), "{message}");
    let message = start("127.0.0.1:0", StoreKind::Memory, "No Bucket");
    assert!(message.contains("No Bucket"), "{message}");
    let taken = emulator();
    let message = start(&taken.addr().to_string(), StoreKind::Memory, BUCKET);
    assert!(message.contains(&taken.addr().to_string()), "{message}");
}
