//! The room as a whole: every kind of credentials against the endpoints that it asks, which the
//! tests harness over HTTP.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::thread::scope;
use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};

use super::testing::{
    self, CannedResponse, Endpoint, Folder, SECRET, generated_token_response, token_response,
};
use super::*;

const GENERATE: &str = "/v1/projects/-/serviceAccounts/target@project.example:generateAccessToken";

/// Timing for endpoints that response: as in operation, but failing soon.
/// Longer than any test takes that passes.
const PATIENCE: Duration = Duration::from_secs(60);

fn timing() -> RefreshConfig {
    RefreshConfig { max_wait: Duration::from_secs(20), ..RefreshConfig::default() }
}

/// Timing for endpoints of which one failure is to be seen.
fn impatient() -> RefreshConfig {
    let long = Duration::from_secs(60);
    RefreshConfig {
        max_wait: Duration::from_secs(5),
        initial_backoff: long,
        max_backoff: long,
        ..timing()
    }
}

fn with_file(path: PathBuf, timing: RefreshConfig) -> GoogleCredentials {
    let settings = Settings { credentials_file: Some(path), ..Settings::default() };
    GoogleCredentials::start(&discover(&settings).unwrap(), timing).unwrap()
}

fn with_metadata_server(host: &str, timing: RefreshConfig) -> GoogleCredentials {
    let settings = Settings { metadata_host: Some(host.to_owned()), ..Settings::default() };
    GoogleCredentials::start(&discover(&settings).unwrap(), timing).unwrap()
}

fn authorization(credentials: &GoogleCredentials) -> String {
    credentials.token(PATIENCE).unwrap().unwrap().authorization()
}

/// The reason of the first failed attempt, which must hold no secret.
fn reason(credentials: &GoogleCredentials) -> String {
    let error = loop {
        match credentials.status() {
            Err(error) if error.reason != "the first one has not come yet" => break error,
            Err(_) => std::thread::sleep(Duration::from_millis(2)),
            Ok(_) => panic!("a token came"),
        }
    };
    assert!(!error.to_string().contains(SECRET), "{error}");
    assert!(!format!("{error:?}").contains(SECRET), "{error:?}");
    error.reason
}

fn external_account(endpoint: &Endpoint, source: Value) -> Value {
    json!({
        "type": "external_account",
        "audience": "//iam.googleapis.com/pools/p/providers/q",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": endpoint.url("/sts"),
        "credential_source": source,
    })
}

mod credential_kinds {
    use super::*;

    #[test]
    fn service_account_key_uses_a_signed_assertion() {
        let (sender, received) = channel();
        let endpoint = Endpoint::start(move |request| {
            sender.send(request.clone()).unwrap();
            token_response("one", 3600)
        });
        let folder = Folder::new();
        let key = folder.write("key.json", &testing::service_account(&endpoint.url("/token")));
        let credentials = with_file(key, timing());
        assert_eq!(authorization(&credentials), "Bearer one");
        assert!(credentials.status().unwrap().is_some());

        let request = received.recv().unwrap();
        assert_eq!((request.method.as_str(), request.url.as_str()), ("POST", "/token"));
        let form = request.form();
        assert_eq!(form["grant_type"], "urn:ietf:params:oauth:grant-type:jwt-bearer");
        let claims = form["assertion"].split('.').nth(1).unwrap().trim_end_matches('=').to_owned();
        let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!(claims["iss"], "uploader@project.iam.gserviceaccount.com");
        assert_eq!(claims["aud"], endpoint.url("/token"));
        assert_eq!(claims["scope"], "https://www.googleapis.com/auth/devstorage.read_write");
    }

    #[test]
    fn metadata_server_is_asked_with_its_header_and_scope() {
        let (sender, received) = channel();
        let endpoint = Endpoint::start(move |request| {
            sender.send(request.clone()).unwrap();
            token_response("one", 3600)
        });
        let credentials = with_metadata_server(&endpoint.address().to_string(), timing());
        assert_eq!(authorization(&credentials), "Bearer one");
        let request = received.recv().unwrap();
        assert_eq!(request.header("Metadata-Flavor"), Some("Google"));
        assert_eq!(
            request.url,
            "/computeMetadata/v1/instance/service-accounts/default/token\
             ?scopes=https://www.googleapis.com/auth/devstorage.read_write"
        );
    }

    #[test]
    fn identity_federation_reads_the_subject_token_from_a_file() {
        let endpoint = Endpoint::start(|request| {
            let form = request.form();
            assert_eq!(form["subject_token"], "subject");
            assert_eq!(form["scope"], "https://www.googleapis.com/auth/devstorage.read_write");
            token_response("federated", 3600)
        });
        let folder = Folder::new();
        let subject = folder.write("subject", "subject");
        let account = external_account(&endpoint, json!({ "file": subject }));
        let credentials = with_file(folder.write("c.json", &account.to_string()), timing());
        assert_eq!(authorization(&credentials), "Bearer federated");
    }

    #[test]
    fn identity_federation_reads_the_subject_token_from_a_url() {
        let endpoint = Endpoint::start(|request| match request.url.as_str() {
            "/subject" => {
                assert_eq!(request.header("Metadata"), Some("True"));
                CannedResponse::json(200, r#"{"value":"subject"}"#)
            }
            _ => {
                assert_eq!(request.form()["subject_token"], "subject");
                token_response("federated", 3600)
            }
        });
        let source = json!({
            "url": endpoint.url("/subject"),
            "headers": { "Metadata": "True" },
            "format": { "type": "json", "subject_token_field_name": "value" },
        });
        let folder = Folder::new();
        let account = external_account(&endpoint, source).to_string();
        let credentials = with_file(folder.write("c.json", &account), timing());
        assert_eq!(authorization(&credentials), "Bearer federated");
    }

    #[test]
    fn identity_federation_impersonates_a_service_account() {
        let endpoint = Endpoint::start(|request| match request.url.as_str() {
            GENERATE => {
                assert_eq!(request.header("Authorization"), Some("Bearer federated"));
                generated_token_response("impersonated")
            }
            _ => {
                let form = request.form();
                assert_eq!(form["scope"], "https://www.googleapis.com/auth/cloud-platform");
                token_response("federated", 3600)
            }
        });
        let folder = Folder::new();
        let subject = folder.write("subject", "subject");
        let mut account = external_account(&endpoint, json!({ "file": subject }));
        account["service_account_impersonation_url"] = json!(endpoint.url(GENERATE));
        let credentials = with_file(folder.write("c.json", &account.to_string()), timing());
        assert_eq!(authorization(&credentials), "Bearer impersonated");
    }

    #[test]
    fn service_account_key_impersonates_another_service_account() {
        let endpoint = Endpoint::start(|request| match request.url.as_str() {
            GENERATE => {
                assert_eq!(request.header("Authorization"), Some("Bearer own"));
                let wanted: Value = serde_json::from_str(&request.body).unwrap();
                assert_eq!(
                    wanted,
                    json!({
                        "scope": ["https://www.googleapis.com/auth/devstorage.read_write"],
                        "lifetime": "3600s",
                        "delegates": ["projects/-/serviceAccounts/between@project.example"],
                    })
                );
                generated_token_response("impersonated")
            }
            _ => token_response("own", 3600),
        });
        let source: Value =
            serde_json::from_str(&testing::service_account(&endpoint.url("/token"))).unwrap();
        let impersonated = json!({
            "type": "impersonated_service_account",
            "service_account_impersonation_url": endpoint.url(GENERATE),
            "source_credentials": source,
            "delegates": ["projects/-/serviceAccounts/between@project.example"],
        });
        let folder = Folder::new();
        let credentials = with_file(folder.write("c.json", &impersonated.to_string()), timing());
        assert_eq!(authorization(&credentials), "Bearer impersonated");
    }
}

mod refresh {
    use super::*;

    /// Answers with the tokens 1, 2, 3…
    fn counting() -> Endpoint {
        let mut number = 0;
        Endpoint::start(move |_| {
            number += 1;
            token_response(&number.to_string(), 3600)
        })
    }

    #[test]
    fn rejected_token_is_refreshed_by_one_request_for_sixteen_threads() {
        let endpoint = counting();
        let credentials = with_metadata_server(&endpoint.address().to_string(), timing());
        let first = credentials.token(PATIENCE).unwrap().unwrap();
        scope(|threads| {
            let renewals: Vec<_> =
                (0..16).map(|_| threads.spawn(|| credentials.refresh(&first, PATIENCE))).collect();
            for refresh in renewals {
                let renewed = refresh.join().unwrap().unwrap().unwrap();
                assert_eq!(renewed.authorization(), "Bearer 2");
            }
        });
        assert_eq!(
            credentials.refresh(&first, PATIENCE).unwrap().unwrap().authorization(),
            "Bearer 2"
        );
        assert_eq!(authorization(&credentials), "Bearer 2");
        assert_eq!(endpoint.request_count(), 2);
    }

    #[test]
    fn replaced_key_is_used_for_the_next_token() {
        let (old, new) = (counting(), Endpoint::start(|_| token_response("rotated", 3600)));
        let folder = Folder::new();
        let key = folder.write("key.json", &testing::service_account(&old.url("/")));
        let credentials = with_file(key, timing());
        let first = credentials.token(PATIENCE).unwrap().unwrap();
        folder.write("key.json", &testing::service_account(&new.url("/")));
        let renewed = credentials.refresh(&first, PATIENCE).unwrap().unwrap();
        assert_eq!(renewed.authorization(), "Bearer rotated");
    }

    #[test]
    fn damaged_key_is_reported_while_the_old_token_is_valid() {
        let endpoint = counting();
        let folder = Folder::new();
        let key = folder.write("key.json", &testing::service_account(&endpoint.url("/")));
        let credentials = with_file(key, impatient());
        let first = credentials.token(PATIENCE).unwrap().unwrap();
        folder.write("key.json", "{ s3cret");
        let error = credentials.refresh(&first, PATIENCE).unwrap_err();
        assert!(error.reason.starts_with("it is not JSON"), "{error}");
        assert_eq!(authorization(&credentials), "Bearer 1");
    }

    #[test]
    fn token_with_two_seconds_of_life_is_followed_by_the_next_one() {
        let endpoint = Endpoint::start(|_| token_response("brief", 2));
        let credentials = with_metadata_server(&endpoint.address().to_string(), timing());
        while endpoint.request_count() < 2 {
            assert_eq!(authorization(&credentials), "Bearer brief");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

mod failures {
    use super::*;

    /// Returns the error for a key whose token endpoint responds like this.
    fn of_key(response: CannedResponse) -> String {
        let endpoint = Endpoint::start(move |_| response.clone());
        let folder = Folder::new();
        let key = folder.write("key.json", &testing::service_account(&endpoint.url("/token")));
        let reason = reason(&with_file(key, impatient()));
        reason.replace(&endpoint.url(""), "ENDPOINT")
    }

    /// Returns the error for a metadata server that responds like this.
    fn of_metadata_server(response: CannedResponse) -> String {
        let endpoint = Endpoint::start(move |_| response.clone());
        let reason = reason(&with_metadata_server(&endpoint.address().to_string(), impatient()));
        let advice = "; if this machine is not on Google Cloud, set GOOGLE_APPLICATION_CREDENTIALS \
                      to a credentials file, or STORAGE_EMULATOR_HOST to an emulator";
        let reason = reason.replace(&endpoint.url(""), "ENDPOINT");
        reason.strip_suffix(advice).unwrap_or_else(|| panic!("no advice: {reason}")).to_owned()
    }

    #[test]
    fn revoked_key_is_reported_with_reason_and_hint() {
        let response = r#"{"error":"invalid_grant","error_description":"Invalid JWT Signature."}"#;
        assert_eq!(
            of_key(CannedResponse::json(400, response)),
            "ENDPOINT answered 400 Bad Request: invalid_grant: Invalid JWT Signature.; have the \
             credentials been revoked or expired, or is this machine's clock wrong?"
        );
    }

    #[test]
    fn refusal_is_returned_without_a_wait() {
        let endpoint =
            Endpoint::start(|_| CannedResponse::json(400, r#"{"error":"invalid_grant"}"#));
        let folder = Folder::new();
        let key = folder.write("key.json", &testing::service_account(&endpoint.url("/token")));
        let max_wait = Duration::from_secs(3600);
        let credentials = with_file(key, RefreshConfig { max_wait, ..impatient() });
        assert!(credentials.token(PATIENCE).unwrap_err().reason.contains("invalid_grant"));
        assert_eq!(endpoint.request_count(), 1);
    }

    #[test]
    fn invalid_response_of_a_token_endpoint_is_described() {
        for (response, expected) in [
            (CannedResponse::json(200, "nonsense"), "200 OK: not JSON but \"nonsense\""),
            (CannedResponse::json(200, ""), "200 OK: an empty response"),
            (CannedResponse::json(200, "{}"), "200 OK: JSON without a usable access token in it"),
            (
                CannedResponse::json(200, r#"{"access_token":"s3c\r\nret","expires_in":60}"#),
                "200 OK: JSON without a usable access token in it",
            ),
            (CannedResponse::json(200, "[]"), "200 OK: JSON without a usable access token in it"),
            (
                CannedResponse::json(200, r#"{"access_token":["s3cret"]}"#),
                "200 OK: JSON without a usable access token in it",
            ),
            (
                CannedResponse::json(200, r#"{"access_token":"s3cret""#),
                "200 OK: text that is not the JSON",
            ),
            (
                CannedResponse::of("text/html", 503, "<h1>Sorry</h1>\n\u{1b}[31m"),
                "503 Service Unavailable: not JSON but \"<h1>Sorry</h1> \\u{1b}[31m\"",
            ),
            (
                CannedResponse::json(500, r#"{"error":"internal_failure"}"#),
                "500 Internal Server Error: int",
            ),
        ] {
            let reason = of_key(response);
            assert!(reason.starts_with(&format!("ENDPOINT answered {expected}")), "{reason}");
        }
    }

    #[test]
    fn expiry_out_of_range_does_not_end_the_thread() {
        let mut first = true;
        let endpoint = Endpoint::start(move |_| match std::mem::take(&mut first) {
            true => token_response("s3cret", u64::MAX / 2),
            false => token_response("one", 3600),
        });
        let folder = Folder::new();
        let key = folder.write("key.json", &testing::service_account(&endpoint.url("/token")));
        let pause = Duration::from_millis(1);
        let credentials = with_file(key, RefreshConfig { initial_backoff: pause, ..timing() });
        assert_eq!(authorization(&credentials), "Bearer one");
    }

    #[test]
    fn invalid_response_of_a_metadata_server_is_described() {
        let page = "<html><body>Welcome to the hotel\u{7}</body></html>";
        for (response, expected) in [
            (CannedResponse::json(200, "nonsense"), "200 OK: not JSON but \"nonsense\""),
            (CannedResponse::json(200, ""), "200 OK: an empty response"),
            (
                CannedResponse::json(200, r#"{"access_token":"s3cret","expires_in":3600}"#),
                "200 OK: JSON without a usable access token in it",
            ),
            (
                CannedResponse::json(
                    200,
                    r#"{"access_token":"s3cret","expires_in":-1,"token_type":"Bearer"}"#,
                ),
                "200 OK: JSON without a usable access token in it",
            ),
            (
                CannedResponse::json(
                    200,
                    r#"{"access_token":"s3c\r\nret","expires_in":60,"token_type":"Bearer"}"#,
                ),
                "200 OK: JSON without a usable access token in it",
            ),
            (
                CannedResponse::of("text/html", 200, page),
                "200 OK: not JSON but \"<html><body>Welcome to the hotel\\u{7}</body></html>\"",
            ),
            (
                CannedResponse::of("text/plain", 404, "no service account"),
                "404 Not Found: not JSON but \"no service account\"",
            ),
            (
                CannedResponse::of("text/plain", 500, ""),
                "500 Internal Server Error: an empty response",
            ),
        ] {
            assert_eq!(of_metadata_server(response), format!("ENDPOINT answered {expected}"));
        }
    }

    #[test]
    fn refused_impersonation_reports_googles_reason() {
        let endpoint = Endpoint::start(|request| match request.url.as_str() {
            GENERATE => CannedResponse::json(
                403,
                r#"{"error":{"code":403,"status":"PERMISSION_DENIED","message":
                    "Permission 'iam.serviceAccounts.getAccessToken' denied for own-s3cret"}}"#,
            ),
            _ => token_response("own-s3cret", 3600),
        });
        let source: Value =
            serde_json::from_str(&testing::service_account(&endpoint.url("/token"))).unwrap();
        let impersonated = json!({
            "type": "impersonated_service_account",
            "service_account_impersonation_url": endpoint.url(GENERATE),
            "source_credentials": source,
        });
        let folder = Folder::new();
        let file = folder.write("c.json", &impersonated.to_string());
        let reason = reason(&with_file(file, impatient()));
        let expected = "answered 403 Forbidden: PERMISSION_DENIED: Permission \
                        'iam.serviceAccounts.getAccessToken' denied for …; have";
        assert!(reason.contains(expected), "{reason}");
    }

    #[test]
    fn missing_subject_token_is_named() {
        let endpoint = Endpoint::start(|_| token_response("never", 3600));
        let folder = Folder::new();
        let account = external_account(&endpoint, json!({ "file": "/nonexistent/subject" }));
        let credentials = with_file(folder.write("c.json", &account.to_string()), impatient());
        let error = credentials.token(PATIENCE).unwrap_err();
        assert_eq!(error.source_name, "/nonexistent/subject");
        assert!(error.reason.contains("No such file"), "{error}");
        assert_eq!(endpoint.request_count(), 0);
    }

    #[test]
    fn refused_connection_is_reported_with_a_hint() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let reason_there = reason(&with_metadata_server(&free.to_string(), impatient()));
        assert_eq!(
            reason_there,
            format!(
                "http://{free}: tcp connect error: Connection refused (os error 111); if this \
                 machine is not on Google Cloud, set GOOGLE_APPLICATION_CREDENTIALS to a \
                 credentials file, or STORAGE_EMULATOR_HOST to an emulator"
            )
        );

        let folder = Folder::new();
        let key = testing::service_account(&format!("http://{free}/token"));
        let reason = reason(&with_file(folder.write("key.json", &key), impatient()));
        assert!(reason.starts_with(&format!("http://{free}: ")), "{reason}");
        assert!(reason.contains("Connection refused"), "{reason}");
    }

    #[test]
    fn unresolved_host_name_is_reported_with_a_hint() {
        let reason = reason(&with_metadata_server("metadata.invalid", impatient()));
        assert!(reason.starts_with("http://metadata.invalid: "), "{reason}");
        assert!(reason.contains("not on Google Cloud"), "{reason}");
    }

    #[test]
    fn missing_response_is_reported_after_the_attempt_timeout() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = silent.local_addr().unwrap().to_string();
        let attempt = Duration::from_millis(50);
        let credentials =
            with_metadata_server(&host, RefreshConfig { attempt_timeout: attempt, ..impatient() });
        let reason = reason(&credentials);
        assert!(reason.starts_with(&format!("http://{host}: no response within 50ms")), "{reason}");
    }

    #[test]
    fn endless_response_is_aborted() {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n";
        let host = raw_server(move |mut peer| {
            peer.write_all(head.as_bytes()).unwrap();
            let mut sent = 0_u64;
            while peer.write_all(&[b'a'; 64 << 10]).is_ok() {
                sent += 64 << 10;
            }
            sent
        });
        let reason = reason(&with_metadata_server(&host.address.to_string(), impatient()));
        assert!(reason.contains("the response is longer than 262144 bytes"), "{reason}");
        // What lies beyond is in the sockets' buffers.
        assert!(host.served.recv().unwrap() < 64 << 20);
    }

    #[test]
    fn broken_connection_is_reported_with_a_hint() {
        for half in
            ["", "HTTP/1.1 200 OK\r\nContent-Le", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"]
        {
            let host = raw_server(move |mut peer| {
                peer.write_all(half.as_bytes()).unwrap();
                0
            });
            let address = host.address.to_string();
            let reason = reason(&with_metadata_server(&address, impatient()));
            assert!(reason.starts_with(&format!("http://{address}: ")), "{reason}");
            assert!(reason.contains("not on Google Cloud"), "{reason}");
        }
    }

    struct RawServer {
        address: SocketAddr,
        served: std::sync::mpsc::Receiver<u64>,
    }

    /// A server for one connection, which reads the request's first bytes before it acts.
    fn raw_server(act: impl FnOnce(TcpStream) -> u64 + Send + 'static) -> RawServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, served) = channel();
        std::thread::spawn(move || {
            let (mut peer, _) = listener.accept().unwrap();
            let _ = peer.read(&mut [0; 4096]).unwrap();
            let _ = sender.send(act(peer));
        });
        RawServer { address, served }
    }
}

#[test]
fn description_of_the_credentials_contains_no_secret() {
    let folder = Folder::new();
    for text in [testing::authorized_user(), testing::service_account("https://token.example/")] {
        let path = folder.write("c.json", &text);
        let settings = Settings { credentials_file: Some(path.clone()), ..Settings::default() };
        let found = discover(&settings).unwrap();
        let shown = format!("{found} {found:?} {:?}", AccessToken::new(SECRET.to_owned()));
        assert!(!shown.contains(SECRET), "{shown}");
        assert!(!shown.contains("PRIVATE KEY"), "{shown}");
        assert!(shown.contains(&Path::new(&path).display().to_string()));
    }
}
