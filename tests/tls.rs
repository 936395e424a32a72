//! TLS: a company's own certificate authority works, and a server that cannot prove who it is gets
//! nothing, at once.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod support;

use std::process::Output;

use rcgen::CertificateParams;
use support::tls::Authority;
use support::{Store, gcs_uploader};

/// Uploads through a TLS front whose certificate is for `name`, trusting `trusted`.
fn upload(
    authority: &Authority,
    trusted: &Authority,
    name: &str,
    change: impl FnOnce(&mut CertificateParams),
) -> (Store, Output) {
    let store = Store::emulator();
    let address = store.url.trim_start_matches("http://").parse().unwrap();
    let port = authority.front(name, address, change);
    let output = gcs_uploader()
        .args(["upload", "--size", "300KiB", "--bucket", "bucket"])
        .env("STORAGE_EMULATOR_HOST", format!("https://localhost:{port}"))
        .env("SSL_CERT_FILE", &trusted.file)
        .output()
        .unwrap();
    (store, output)
}

/// What is said of a server that is not trusted; nothing may have been stored.
fn refused(outcome: (Store, Output)) -> String {
    let (store, output) = outcome;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(store.names().is_empty());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("TLS failed"), "{said}");
    let retried = said.contains("gave up") && !said.contains(" 0 retries");
    assert!(!retried, "waiting would not help: {said}");
    said
}

#[test]
fn a_companys_own_authority_is_trusted_where_it_is_named() {
    let company = Authority::new();
    let (store, output) = upload(&company, &company, "localhost", |_| ());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(store.names().len(), 1);
}

#[test]
fn an_authority_that_nobody_named_is_not_trusted() {
    let said = refused(upload(&Authority::new(), &Authority::new(), "localhost", |_| ()));
    assert!(said.contains("UnknownIssuer") || said.contains("BadSignature"), "{said}");
}

#[test]
fn a_certificate_of_another_host_is_not_trusted() {
    let company = Authority::new();
    let said = refused(upload(&company, &company, "elsewhere.example", |_| ()));
    assert!(said.contains("not valid for name"), "{said}");
}

#[test]
fn without_any_authority_nobody_is_trusted() {
    let (company, mut nothing) = (Authority::new(), Authority::new());
    nothing.file = "/nonexistent/ca.pem".into();
    let said = refused(upload(&company, &nothing, "localhost", |_| ()));
    assert!(said.contains("No CA certificates"), "{said}");
}

#[test]
fn a_certificate_that_has_expired_is_not_trusted() {
    let company = Authority::new();
    let said = refused(upload(&company, &company, "localhost", |params| {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    }));
    assert!(said.contains("expired"), "{said}");
}
