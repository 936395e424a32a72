//! Settings: each is a flag and an environment variable. An invalid one ends the start with one clear
//! line and exit status 2, before anything listens.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod support;

use support::gcs_uploader;

/// Returns the error of `serve` with these variables and flags.
fn refused(variables: &[(&str, &str)], flags: &[&str]) -> String {
    let mut command = gcs_uploader();
    command.arg("serve").args(["--listen", "127.0.0.1:0"]).args(flags);
    let output = command.envs(variables.iter().copied()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{variables:?} {flags:?}: {said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(output.stdout.is_empty());
    said
}

#[test]
fn missing_bucket_is_an_error() {
    let said = refused(&[], &[]);
    assert!(said.contains("GCS_BUCKET (--bucket) is missing"), "{said}");
}

#[test]
fn invalid_variable_is_named_with_its_valid_values() {
    for (variable, value, expected) in [
        ("GCS_BUCKET", "gs://bucket", "use 3 to 222 lower-case letters"),
        ("GCS_BUCKET", "", "use 3 to 222 lower-case letters"),
        ("WORKERS", "0", "use 1 to 4096"),
        ("WORKERS", "many", "use 1 to 4096"),
        ("QUEUE_DEPTH", "-1", "use 0 to 65536"),
        ("READY_SESSIONS", "-1", "use 0 to 4096"),
        ("READY_SESSIONS", "all", "use 0 to 4096"),
        ("MAX_CONNECTIONS", "0", "use 1 to 65536"),
        ("UPLOAD_SIZE", "1.5MiB", "1MiB"),
        ("UPLOAD_SIZE", "6TiB", "at most 5TiB"),
        ("MAX_UPLOAD_SIZE", "lots", "1MiB"),
        ("OBJECT_PREFIX", "/reports", "without a leading slash"),
        ("UPLOAD_TIMEOUT", "40", "use a number with a unit (40s, 5m, 1h)"),
        ("DRAIN_TIMEOUT", "0s", "use 1s to 7d"),
        ("LOG_FORMAT", "xml", "json"),
        ("METRICS_ADDR", "9090", "invalid socket address"),
        ("API_TOKENS_FILE", "", "must not be empty"),
        ("STORAGE_EMULATOR_HOST", "http://h/path", "write http://HOST:PORT"),
        ("GOOGLE_APPLICATION_CREDENTIALS", "/nonexistent.json", "the file cannot be read"),
        ("GOOGLE_APPLICATION_CREDENTIALS", "/dev/null", "is not a file"),
        ("GCE_METADATA_HOST", "http://metadata", "HOST or HOST:PORT"),
        ("RUST_LOG", "gcs=loud", "use a level"),
    ] {
        let bucket = ("GCS_BUCKET", "bucket");
        let said = refused(&[bucket, (variable, value)], &[]);
        assert!(said.contains(variable) && said.contains(expected), "{variable}={value}: {said}");
    }
}

#[test]
fn invalid_flag_is_named_with_its_variable() {
    let said = refused(&[("GCS_BUCKET", "bucket")], &["--workers", "x"]);
    assert!(said.contains("WORKERS (--workers)"), "{said}");
}

#[test]
fn invalid_listen_address_is_named() {
    let output = gcs_uploader().args(["serve", "--listen", "4545"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(said.contains("LISTEN_ADDR (--listen)"), "{said}");
}

#[test]
fn default_size_above_the_maximum_is_an_error() {
    let sizes = [("UPLOAD_SIZE", "2MiB"), ("MAX_UPLOAD_SIZE", "1MiB"), ("GCS_BUCKET", "bucket")];
    let said = refused(&sizes, &[]);
    assert!(said.contains("UPLOAD_SIZE") && said.contains("MAX_UPLOAD_SIZE"), "{said}");
}

#[test]
fn embedded_emulator_and_emulator_host_cannot_be_combined() {
    let said = refused(&[("STORAGE_EMULATOR_HOST", "127.0.0.1:1")], &["--emulator"]);
    assert!(said.contains("choose one"), "{said}");
}

#[test]
fn flag_overrides_its_variable() {
    let said = refused(&[("GCS_BUCKET", "bucket"), ("WORKERS", "4")], &["--workers", "0"]);
    assert!(said.contains("\"0\""), "{said}");
}

#[test]
fn unknown_flag_is_reported_in_one_line() {
    let said = refused(&[], &["--wrokers", "4"]);
    assert!(said.contains("--wrokers"), "{said}");
}

#[test]
fn address_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = gcs_uploader()
        .args(["serve", "--bucket", "bucket", "--listen", &address])
        .args(["--storage-emulator-host", "127.0.0.1:1"])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&address), "{said}");
}

#[test]
fn every_setting_is_in_the_help_with_its_variable_and_default() {
    let output = gcs_uploader().args(["serve", "--help"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let help = String::from_utf8(output.stdout).unwrap();
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for (variable, default) in [
        ("GCS_BUCKET", ""),
        ("LISTEN_ADDR", "0.0.0.0:4545"),
        ("WORKERS", "32"),
        ("QUEUE_DEPTH", "128"),
        ("MAX_CONNECTIONS", "512"),
        ("READY_SESSIONS", "0"),
        ("UPLOAD_SIZE", "1MiB"),
        ("MAX_UPLOAD_SIZE", "5GiB"),
        ("OBJECT_PREFIX", ""),
        ("UPLOAD_TIMEOUT", "5m"),
        ("DRAIN_TIMEOUT", "25s"),
        ("METRICS_ADDR", ""),
        ("API_TOKENS_FILE", ""),
        ("LOG_FORMAT", "text"),
        ("STORAGE_EMULATOR_HOST", ""),
        ("GOOGLE_APPLICATION_CREDENTIALS", ""),
        ("RUST_LOG", ""),
    ] {
        assert!(help.contains(&format!("[env: {variable}")), "{variable} in {help}");
        assert!(help.contains(&format!("[default: {default}]")) || default.is_empty(), "{default}");
    }
}
