//! Token endpoints behind TLS and behind a proxy: the company's CA is trusted by `SSL_CERT_FILE`,
//! the proxy is used for `https` and for nothing else.
//!
//! What the environment says is read by a library, so each case runs in a process of its own: the
//! test starts itself again with other variables.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[allow(dead_code)]
#[path = "../src/gcs/credentials/testing.rs"]
mod testing;

use std::env;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use gcs_uploader::gcs::credentials::{
    GoogleCredentials, RefreshConfig, Settings, TokenSource, discover,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use testing::{Endpoint, Folder, SECRET, generated_token_response, token_response};

/// The variable by which a test knows that it is the process that it started: the settings.
const CASE: &str = "CREDENTIALS_NETWORK_CASE";
const GENERATE: &str = "/v1/projects/-/serviceAccounts/target@project.example:generateAccessToken";

/// What a case prints: the header of a token, or the error.
const RESULT: &str = "result: ";

/// Runs the named test once more, with `settings` in place of the environment's, and returns what
/// came of it.
fn run(name: &str, certificates: &str, settings: &Value) -> String {
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(CASE, settings.to_string())
        .env("SSL_CERT_FILE", certificates)
        .env_remove("SSL_CERT_DIR")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let result = text.lines().find_map(|line| line.split_once(RESULT));
    let (_, result) = result.unwrap_or_else(|| panic!("no result: {output:?}"));
    assert!(!result.contains(SECRET), "{result}");
    result.to_owned()
}

/// In the process that a test started: tries the case and prints its result.
fn tried() -> bool {
    let Ok(settings) = env::var(CASE) else { return false };
    let settings: Value = serde_json::from_str(&settings).unwrap();
    let text = |name: &str| settings[name].as_str();
    let found = discover(&Settings {
        credentials_file: text("file").map(Into::into),
        metadata_host: text("metadata").map(str::to_owned),
        proxy: text("proxy").map(|proxy| ureq::Proxy::new(proxy).unwrap()),
        ..Settings::default()
    });
    let max_wait = Duration::from_secs(20);
    let long = Duration::from_secs(60);
    let timing = RefreshConfig {
        max_wait,
        initial_backoff: long,
        max_backoff: long,
        ..RefreshConfig::default()
    };
    let credentials = GoogleCredentials::start(&found.unwrap(), timing).unwrap();
    let result = loop {
        match credentials.status() {
            Ok(_) => {
                break credentials.token(Duration::from_secs(60)).unwrap().unwrap().authorization();
            }
            Err(error) if error.reason != "the first one has not come yet" => {
                break error.to_string();
            }
            Err(_) => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    println!("\n{RESULT}{result}");
    true
}

/// A proxy that is, at the same time, each server behind it: it ends TLS with certificates of its
/// own CA, as an inspecting company proxy does, and gives a token for whatever is asked.
struct InspectingProxy {
    address: SocketAddr,
    ca: String,
    /// What the client asked of the proxy.
    asked: Receiver<String>,
}

impl InspectingProxy {
    fn start() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let names = vec!["accounts.google.com".to_owned()];
        let leaf = CertificateParams::new(names).unwrap().signed_by(&key, &ca).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![leaf.der().clone()],
                PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            );
        let (config, ca) = (Arc::new(config.unwrap()), ca.pem());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (telling, asked) = channel();
        std::thread::spawn(move || {
            for peer in listener.incoming() {
                let mut peer = peer.unwrap();
                let mut first = [0];
                peer.peek(&mut first).unwrap();
                let wanted = if first[0] == 5 { socks(&mut peer) } else { connect(&mut peer) };
                if telling.send(wanted).is_err() {
                    return;
                }
                let tls = ServerConnection::new(Arc::clone(&config)).unwrap();
                // A client that does not trust the CA ends it here.
                let _ = give_token(StreamOwned::new(tls, peer));
            }
        });
        Self { address, ca, asked }
    }
}

/// Answers an HTTP CONNECT; returns the request's head.
fn connect(peer: &mut TcpStream) -> String {
    let mut head = String::new();
    let mut reader = BufReader::new(peer.try_clone().unwrap());
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).unwrap() > 0);
    }
    peer.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").unwrap();
    head
}

/// Answers a SOCKS5 request without authentication (RFC 1928); returns the name and port in it.
fn socks(peer: &mut TcpStream) -> String {
    let mut greeting = [0; 2];
    peer.read_exact(&mut greeting).unwrap();
    peer.read_exact(&mut vec![0; greeting[1].into()]).unwrap();
    peer.write_all(&[5, 0]).unwrap();
    let mut request = [0; 5];
    peer.read_exact(&mut request).unwrap();
    assert_eq!(request[..4], [5, 1, 0, 3], "connect to a name");
    let mut name = vec![0; request[4].into()];
    peer.read_exact(&mut name).unwrap();
    let mut port = [0; 2];
    peer.read_exact(&mut port).unwrap();
    peer.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 1]).unwrap();
    format!("{}:{}", String::from_utf8(name).unwrap(), u16::from_be_bytes(port))
}

fn give_token(mut peer: impl Read + Write) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut part = [0; 4096];
    while !String::from_utf8_lossy(&request).contains("grant_type=refresh_token") {
        let read = peer.read(&mut part)?;
        assert!(read > 0, "the request ended early");
        request.extend_from_slice(&part[..read]);
    }
    let token = token_response("user", 3600).body;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", token.len());
    peer.write_all(head.as_bytes())?;
    peer.write_all(&token)?;
    peer.flush()
}

#[test]
fn a_user_gets_a_token_through_a_proxy_with_the_companys_ca() {
    if tried() {
        return;
    }
    let (proxy, folder) = (InspectingProxy::start(), Folder::new());
    let ca = folder.write("ca.pem", &proxy.ca).display().to_string();
    let file = folder.write("user.json", &testing::authorized_user());
    let name = "a_user_gets_a_token_through_a_proxy_with_the_companys_ca";

    let address = format!("http://me:pass@{}", proxy.address);
    let result = run(name, &ca, &json!({ "file": file, "proxy": address }));
    assert_eq!(result, "Bearer user");
    let asked = proxy.asked.recv().unwrap();
    assert!(asked.starts_with("CONNECT accounts.google.com:443 HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains("Basic bWU6cGFzcw=="), "{asked}");

    let address = format!("socks5://{}", proxy.address);
    let result = run(name, &ca, &json!({ "file": file, "proxy": address }));
    assert_eq!(result, "Bearer user");
    assert_eq!(proxy.asked.recv().unwrap(), "accounts.google.com:443");
}

#[test]
fn a_ca_that_is_not_trusted_is_named_as_the_fault() {
    if tried() {
        return;
    }
    let (proxy, other, folder) =
        (InspectingProxy::start(), InspectingProxy::start(), Folder::new());
    let file = folder.write("user.json", &testing::authorized_user());
    let other_ca = folder.write("ca.pem", &other.ca).display().to_string();
    let settings = json!({ "file": file, "proxy": format!("http://{}", proxy.address) });
    for certificates in [other_ca.as_str(), "/nonexistent/ca.pem"] {
        let name = "a_ca_that_is_not_trusted_is_named_as_the_fault";
        let result = run(name, certificates, &settings);
        assert!(
            result.contains("https://accounts.google.com: invalid peer certificate: "),
            "{result}"
        );
        assert!(result.ends_with("is trusted by the system's store or SSL_CERT_FILE"), "{result}");
    }
}

#[test]
fn a_user_acts_as_a_service_account() {
    if tried() {
        return;
    }
    let (proxy, folder) = (InspectingProxy::start(), Folder::new());
    let endpoint = Endpoint::start(|asked| {
        assert_eq!(asked.header("Authorization"), Some("Bearer user"));
        generated_token_response("impersonated")
    });
    let user: Value = serde_json::from_str(&testing::authorized_user()).unwrap();
    let impersonated = json!({
        "type": "impersonated_service_account",
        "service_account_impersonation_url": endpoint.url(GENERATE),
        "source_credentials": user,
    });
    let file = folder.write("impersonated.json", &impersonated.to_string());
    let ca = folder.write("ca.pem", &proxy.ca).display().to_string();
    let settings = json!({ "file": file, "proxy": format!("http://{}", proxy.address) });
    let result = run("a_user_acts_as_a_service_account", &ca, &settings);
    assert_eq!(result, "Bearer impersonated");
}

#[test]
fn the_metadata_server_needs_no_certificates_and_no_proxy() {
    if tried() {
        return;
    }
    let endpoint = Endpoint::start(|_| token_response("machine", 3600));
    let settings = json!({
        "metadata": endpoint.address().to_string(), "proxy": "http://127.0.0.1:1",
    });
    let name = "the_metadata_server_needs_no_certificates_and_no_proxy";
    assert_eq!(run(name, "/nonexistent/ca.pem", &settings), "Bearer machine");
}

#[test]
fn a_proxy_that_is_not_there_is_named_without_its_password() {
    if tried() {
        return;
    }
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let folder = Folder::new();
    let file = folder.write("user.json", &testing::authorized_user());
    let ca = folder.write("ca.pem", &InspectingProxy::start().ca).display().to_string();
    let settings = json!({ "file": file, "proxy": format!("http://me:s3cret@{free}") });
    let name = "a_proxy_that_is_not_there_is_named_without_its_password";
    let result = run(name, &ca, &settings);
    assert!(result.contains("the proxy 127.0.0.1: "), "{result}");
    assert!(result.contains("Connection refused"), "{result}");
    assert!(result.ends_with("are the network, DNS and proxy settings right?"), "{result}");
}
