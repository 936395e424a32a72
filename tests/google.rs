//! As on Google Cloud behind a company's proxy: the token is the metadata server's, the host is Cloud
//! Storage's own, the proxy is `HTTPS_PROXY`'s, and the certificate is one of the company's authority.

#![cfg(feature = "emulator")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod support;
#[allow(dead_code)]
#[path = "../src/gcs/credentials/testing.rs"]
mod testing;

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Output;
use std::sync::{Arc, Mutex};

use support::tls::Authority;
use support::{Store, gcs_uploader};
use testing::{Endpoint, token_response};

/// What went over a wire towards the server.
type Record = Arc<Mutex<Vec<u8>>>;

/// Passes on what comes until there is no more, and keeps a copy.
fn pump(mut from: TcpStream, mut to: TcpStream, record: Option<Record>) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if let Some(record) = &record {
            record.lock().unwrap().extend_from_slice(&buffer[..count]);
        }
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

/// Listens, and hands each connection on to `to` once `greet` has let it.
fn wire(
    to: SocketAddr,
    record: Option<Record>,
    greet: impl Fn(&mut TcpStream) + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            greet(&mut client);
            let Ok(server) = TcpStream::connect(to) else { continue };
            let ends = (client.try_clone().unwrap(), server.try_clone().unwrap());
            let record = record.clone();
            std::thread::spawn(move || pump(client, server, record));
            std::thread::spawn(move || pump(ends.1, ends.0, None));
        }
    });
    address
}

/// What a proxy does that is asked for a tunnel; it must be one to Cloud Storage.
fn tunnel(client: &mut TcpStream) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && client.read(&mut byte).is_ok_and(|count| count == 1) {
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head);
    assert!(head.starts_with("CONNECT storage.googleapis.com:443 HTTP/1.1\r\n"), "{head}");
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").unwrap();
}

/// Uploads once; how that ended, and what Cloud Storage was asked.
fn upload(store: &Store, metadata_server: &Endpoint) -> (Output, String) {
    let company = Authority::new();
    let record = Record::default();
    let store_address = store.url.trim_start_matches("http://").parse().unwrap();
    let recorder = wire(store_address, Some(record.clone()), |_| ());
    let port = company.front("storage.googleapis.com", recorder, |_| ());
    let proxy = wire(([127, 0, 0, 1], port).into(), None, tunnel);
    let output = gcs_uploader()
        .args(["upload", "--size", "300KiB", "--bucket", "bucket", "--log", "trace"])
        .env("CLOUDSDK_CONFIG", "/nonexistent")
        .env("GCE_METADATA_HOST", metadata_server.address().to_string())
        .env("HTTPS_PROXY", format!("http://{proxy}"))
        .env("SSL_CERT_FILE", &company.file)
        .output()
        .unwrap();
    let asked = String::from_utf8_lossy(&record.lock().unwrap()).to_lowercase();
    (output, asked)
}

fn number_of(text: &str, asked: &str) -> usize {
    asked.matches(text).count()
}

#[test]
fn every_request_goes_to_cloud_storage_with_the_token_and_nothing_shows_it() {
    let store = Store::emulator();
    let metadata_server = Endpoint::start(|_| token_response("access-s3cret", 3600));
    let (output, asked) = upload(&store, &metadata_server);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(store.names().len(), 1);
    let requests = number_of(" http/1.1\r\n", &asked);
    assert_eq!(requests, 2, "a start, and the data: {asked:.200}");
    assert_eq!(number_of("authorization: bearer access-s3cret\r\n", &asked), requests);
    let said = format!("{output:?}");
    assert!(said.contains("credentials: metadata server"), "{said}");
    assert!(!said.contains("s3cret") && !said.contains("upload_id"), "{said}");
}

#[test]
fn a_token_that_cloud_storage_does_not_accept_is_replaced_by_a_new_one() {
    let store = Store::emulator();
    let fault = r#"{"on":"start","action":{"status":{"status":401}}}"#;
    let ordered = support::http().post(format!("{}/_emulator/faults", store.url)).send(fault);
    assert_eq!(ordered.unwrap().status(), 200);
    let mut given = 0;
    let metadata_server = Endpoint::start(move |_| {
        given += 1;
        token_response(&format!("s3cret-{given}"), 3600)
    });
    let (output, asked) = upload(&store, &metadata_server);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(store.names().len(), 1);
    assert_eq!(metadata_server.request_count(), 2, "one refresh");
    assert_eq!(number_of("bearer s3cret-1\r\n", &asked), 1);
    assert_eq!(number_of("bearer s3cret-2\r\n", &asked), 2);
}
