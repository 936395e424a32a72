//! Nothing secret gets into a log line, at trace level either. In a process of its own, as a
//! process has one logger.

#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
#[path = "../src/gcs/credentials/testing.rs"]
mod testing;

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use gcs_uploader::gcs::credentials::{
    GoogleCredentials, RefreshConfig, Settings, TokenSource, discover,
};
use log::{Level, LevelFilter, Log, Metadata, Record};
use serde_json::{Value, json};
use testing::{CannedResponse, Endpoint, Folder, SECRET, generated_token_response, token_response};

/// A line as it was logged: from where, how important, what.
type Line = (String, Level, String);

/// Keeps every line of every target.
struct Everything(Mutex<Vec<Line>>);

impl Log for Everything {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let line = (record.target().to_owned(), record.level(), record.args().to_string());
        self.0.lock().unwrap().push(line);
    }

    fn flush(&self) {}
}

static LOG: Everything = Everything(Mutex::new(Vec::new()));

const GENERATE: &str = "/v1/projects/-/serviceAccounts/target@project.example:generateAccessToken";

/// Every answer holds a secret, and so does every second request.
fn endpoint() -> Endpoint {
    Endpoint::start(|asked| match asked.url.as_str() {
        GENERATE => generated_token_response("impersonated-s3cret"),
        "/subject" => CannedResponse::of("text/plain", 200, "subject-s3cret"),
        "/refuses" => {
            CannedResponse::json(400, &json!({ "error": format!("no: {asked:?}") }).to_string())
        }
        "/nonsense" => CannedResponse::json(200, &format!("{asked:?}")),
        "/wrong" => CannedResponse::json(200, r#"{"access_token":"s3cret","expires_in":"s3cret"}"#),
        _ => token_response("access-s3cret", 3600),
    })
}

fn files(endpoint: &Endpoint, folder: &Folder) -> Vec<PathBuf> {
    let key = |path: &str| testing::service_account(&endpoint.url(path));
    let key_value = |path: &str| serde_json::from_str::<Value>(&key(path)).unwrap();
    let impersonated = |path: &str| {
        json!({
            "type": "impersonated_service_account",
            "service_account_impersonation_url": endpoint.url(GENERATE),
            "source_credentials": key_value(path),
        })
        .to_string()
    };
    let federated = json!({
        "type": "external_account",
        "audience": "//iam.googleapis.com/pools/p/providers/q",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": endpoint.url("/sts"),
        "credential_source": {
            "url": endpoint.url("/subject"), "headers": { "X-Secret": "header-s3cret" },
        },
    })
    .to_string();
    [
        key("/token"),
        key("/refuses"),
        key("/nonsense"),
        key("/wrong"),
        impersonated("/token"),
        impersonated("/nonsense"),
        federated,
    ]
    .iter()
    .enumerate()
    .map(|(number, text)| folder.write(&format!("{number}.json"), text))
    .collect()
}

/// Gets a token, has it renewed, and returns all that is ever shown of it.
fn used(settings: &Settings) -> String {
    let found = discover(settings).unwrap();
    let long = Duration::from_secs(60);
    let timing =
        RefreshConfig { initial_backoff: long, max_backoff: long, ..RefreshConfig::default() };
    let credentials = GoogleCredentials::start(&found, timing).unwrap();
    let first = loop {
        match credentials.status() {
            Ok(_) => break credentials.token(long),
            Err(error) if error.reason != "the first one has not come yet" => break Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    let told = first.as_ref().err().map(ToString::to_string);
    let renewed =
        first.as_ref().ok().and_then(Option::as_ref).map(|first| credentials.refresh(first, long));
    format!("{found} {found:?} {first:?} {renewed:?} {:?} {told:?}", credentials.status())
}

/// Whether a secret is in the text: one that is marked, a part of the private key, or what was
/// signed with it (the header of a JSON Web Token, which is always the same).
fn secret_in(text: &str) -> bool {
    let key = testing::private_key();
    text.contains(SECRET)
        || text.contains("eyJhbGciOiJSUzI1NiIs")
        || key.lines().skip(1).take(5).any(|line| text.contains(line))
}

#[test]
fn only_yup_oauth2_logs_secrets_and_only_below_warn() {
    log::set_logger(&LOG).unwrap();
    log::set_max_level(LevelFilter::Trace);
    let (endpoint, folder) = (endpoint(), Folder::new());
    for path in files(&endpoint, &folder) {
        let shown = used(&Settings { credentials_file: Some(path), ..Settings::default() });
        assert!(!secret_in(&shown), "{shown}");
    }
    let metadata_host = Some(endpoint.address().to_string());
    let shown = used(&Settings { metadata_host, ..Settings::default() });
    let both = "Ok(Some(AccessToken(…))) Some(Ok(None))";
    assert!(shown.contains(both), "a token, and no other one to be had: {shown}");
    assert!(!secret_in(&shown), "{shown}");

    let lines = LOG.0.lock().unwrap();
    let own = lines.iter().filter(|(target, _, _)| target.starts_with("gcs_uploader"));
    assert!(own.count() >= 8, "the outcomes are logged");
    let (leaks, clean): (Vec<_>, Vec<_>) = lines.iter().partition(|(_, _, text)| secret_in(text));
    assert!(!clean.is_empty());
    assert!(!leaks.is_empty(), "yup-oauth2 leaks no more: the cap in the logger can go");
    for (target, level, text) in leaks {
        let capped = target.starts_with("yup_oauth2") && *level > Level::Warn;
        assert!(capped, "{target} at {level}: {text}");
    }
}
