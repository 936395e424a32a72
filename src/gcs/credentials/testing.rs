//! Doubles for the tests: a folder, credentials files, and an HTTP server that answers by script.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tiny_http::{Header, Response, Server};

/// Marker of each secret of these doubles, so that a test can search for all of them at once.
pub(crate) const SECRET: &str = "s3cret";

/// A folder that goes away with the test.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

/// An RSA key in PEM form. It was made for these tests and opens nothing.
pub(crate) fn private_key() -> String {
    let kind = "PRIVATE KEY";
    let body = include_str!("throwaway_rsa.pkcs8.base64");
    format!("-----BEGIN {kind}-----\n{body}-----END {kind}-----\n")
}

pub(crate) fn service_account(token_uri: &str) -> String {
    json!({
        "type": "service_account",
        "project_id": "project",
        "private_key": private_key(),
        "client_email": "uploader@project.iam.gserviceaccount.com",
        "token_uri": token_uri,
    })
    .to_string()
}

pub(crate) fn authorized_user() -> String {
    json!({
        "type": "authorized_user",
        "client_id": "client.apps.googleusercontent.com",
        "client_secret": "client-s3cret",
        "refresh_token": "1//refresh-s3cret",
    })
    .to_string()
}

/// The response of an OAuth 2.0 token endpoint.
pub(crate) fn token_response(token: &str, expires_in: u64) -> CannedResponse {
    let token = json!({
        "access_token": token, "expires_in": expires_in, "token_type": "Bearer"
    });
    CannedResponse::json(200, &token.to_string())
}

/// The response of the IAM credentials API, to `generateAccessToken`.
pub(crate) fn generated_token_response(token: &str) -> CannedResponse {
    let end = std::time::SystemTime::now() + Duration::from_secs(3600);
    let end = humantime::format_rfc3339_seconds(end).to_string();
    CannedResponse::json(200, &json!({ "accessToken": token, "expireTime": end }).to_string())
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct ReceivedRequest {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl ReceivedRequest {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The fields of a form, percent-decoded.
    pub(crate) fn form(&self) -> std::collections::HashMap<String, String> {
        url::form_urlencoded::parse(self.body.as_bytes()).into_owned().collect()
    }
}

#[derive(Clone, Debug)]
pub(crate) struct CannedResponse {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) body: Vec<u8>,
}

impl CannedResponse {
    pub(crate) fn json(status: u16, body: &str) -> Self {
        Self::of("application/json", status, body)
    }

    pub(crate) fn of(content_type: &str, status: u16, body: &str) -> Self {
        Self { status, content_type: content_type.to_owned(), body: body.as_bytes().to_vec() }
    }
}

/// An HTTP server on a free port that answers each request by `script`, until it is dropped.
pub(crate) struct Endpoint {
    server: Arc<Server>,
    requests: Arc<AtomicUsize>,
}

impl Endpoint {
    pub(crate) fn start(
        mut script: impl FnMut(&ReceivedRequest) -> CannedResponse + Send + 'static,
    ) -> Self {
        let server = Arc::new(Server::http("127.0.0.1:0").unwrap());
        let requests = Arc::new(AtomicUsize::new(0));
        let (serving, counting) = (Arc::clone(&server), Arc::clone(&requests));
        std::thread::spawn(move || {
            for request in serving.incoming_requests() {
                counting.fetch_add(1, Ordering::SeqCst);
                serve(request, &mut script);
            }
        });
        Self { server, requests }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.server_addr().to_ip().unwrap()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    /// How many requests have come.
    pub(crate) fn request_count(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.server.unblock();
    }
}

fn serve(
    mut request: tiny_http::Request,
    script: &mut impl FnMut(&ReceivedRequest) -> CannedResponse,
) {
    let mut body = String::new();
    request.as_reader().read_to_string(&mut body).unwrap();
    let header = |header: &Header| (header.field.to_string(), header.value.to_string());
    let response = script(&ReceivedRequest {
        method: request.method().to_string(),
        url: request.url().to_owned(),
        headers: request.headers().iter().map(header).collect(),
        body,
    });
    let kind = Header::from_bytes("Content-Type", response.content_type).unwrap();
    let response = Response::from_data(response.body).with_status_code(response.status);
    // The client may have gone away, as some tests want it to.
    let _ = request.respond(response.with_header(kind));
}
