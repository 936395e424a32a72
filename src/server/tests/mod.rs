//! The contract, as a client sees it: a bound server on a free port, driven over TCP, with an
//! uploader that does what the test says.

mod clients;
mod contract;
mod draining;
mod failures;
mod files;
mod load;
mod openapi;
mod uploads;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, Sender, bounded, select, unbounded};
use serde_json::Value;

use super::{Config, RunError, Server, Stop};
use crate::content::{ByteSize, Content, Crc32c, Source};
use crate::gcs::{
    ErrorKind, NewObject, Object, Observer, RetryCause, UploadError, Uploaded, Uploader, Window,
};
use crate::http::limits::Limits;
use crate::server::auth::Authenticator;
use crate::telemetry::Metrics;

/// Time after which a test fails.
const TIMEOUT: Duration = Duration::from_secs(20);

/// What the uploader of a test does.
#[derive(Clone, Copy, Debug)]
enum Plan {
    Store,
    /// Store once the test lets it, see [`Running::release`].
    StoreWhenReleased,
    StoreAfterFaults,
    Fail(ErrorKind),
    Panic,
}

struct Fake {
    plan: Plan,
    ready: Result<(), String>,
    began: Sender<NewObject>,
    released: Receiver<()>,
    interrupt: Mutex<Option<Sender<()>>>,
    interrupted: Receiver<()>,
}

impl Uploader for Fake {
    fn upload(
        &self,
        object: &NewObject,
        content: &dyn Content,
        _timeout: Duration,
        observer: &dyn Observer,
    ) -> Result<Uploaded, UploadError> {
        self.began.send(object.clone()).unwrap();
        self.store(uploaded(object, content.size(), content.crc32c()), observer)
    }

    /// Reads the stream to its end, and then does what is planned.
    fn upload_stream(
        &self,
        object: &NewObject,
        source: &mut dyn Source,
        _window: Window,
        _timeout: Duration,
        observer: &dyn Observer,
    ) -> Result<Uploaded, UploadError> {
        self.began.send(object.clone()).unwrap();
        let (mut size, mut crc32c) = (0, Crc32c::of(&[]));
        let mut buffer = [0; 16 << 10];
        loop {
            match source.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => {
                    size += count as u64;
                    crc32c = crc32c.append(&buffer[..count]);
                }
                Err(_) => return Err(failure(ErrorKind::Source)),
            }
        }
        self.store(uploaded(object, size, crc32c), observer)
    }

    fn interrupt(&self) {
        self.interrupt.lock().unwrap().take();
    }

    fn ready(&self) -> Result<(), String> {
        self.ready.clone()
    }

    fn token_expiry(&self) -> Option<SystemTime> {
        None
    }
}

impl Fake {
    fn store(&self, uploaded: Uploaded, observer: &dyn Observer) -> Result<Uploaded, UploadError> {
        match self.plan {
            Plan::Store => Ok(uploaded),
            Plan::StoreAfterFaults => {
                observer.sent(uploaded.object.size);
                observer.retrying(RetryCause::Status(503), Duration::from_millis(1));
                observer.resuming(RetryCause::Broken, 1);
                Ok(Uploaded { resumed: 1, retried: 2, ..uploaded })
            }
            Plan::StoreWhenReleased => select! {
                recv(self.released) -> _ => Ok(uploaded),
                recv(self.interrupted) -> _ => Err(failure(ErrorKind::Interrupted)),
            },
            Plan::Fail(kind) => Err(failure(kind)),
            Plan::Panic => panic!("a panic that the test ordered"),
        }
    }
}

fn uploaded(object: &NewObject, size: u64, crc32c: Crc32c) -> Uploaded {
    Uploaded {
        object: Object {
            bucket: "bucket".to_owned(),
            name: object.name.clone(),
            size,
            crc32c,
            generation: "1700000000000001".to_owned(),
            content_type: object.content_type.clone(),
        },
        resumed: 0,
        retried: 0,
        bytes_sent: size,
        elapsed: Duration::from_millis(1500),
    }
}

fn failure(kind: ErrorKind) -> UploadError {
    UploadError {
        kind,
        message: "PUT https://storage.test/upload: 403: denied".to_owned(),
        hint: Some("grant the role".to_owned()),
        status: Some(403),
        bucket_refused: kind == ErrorKind::Refused,
        retried: 3,
        persisted: 262_144,
        elapsed: Duration::from_secs(2),
        absent: !matches!(kind, ErrorKind::TimedOut | ErrorKind::Protocol),
    }
}

/// A server that runs, until it is dropped or ended.
struct Running {
    address: SocketAddr,
    began: Receiver<NewObject>,
    release: Sender<()>,
    stop: Sender<Stop>,
    thread: JoinHandle<Result<(), RunError>>,
}

pub(crate) fn config() -> Config {
    Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        metrics_listen: None,
        workers: NonZeroUsize::new(2).unwrap(),
        pool_threads: 0,
        queue_depth: 8,
        max_connections: NonZeroUsize::new(64).unwrap(),
        upload_size: ByteSize::mebibytes(1),
        max_upload_size: ByteSize::mebibytes(16),
        upload_window: crate::gcs::Window::DEFAULT,
        object_prefix: "in box/".parse().unwrap(),
        bucket: "bucket".to_owned(),
        upload_timeout: Duration::from_secs(60),
        drain_timeout: Duration::from_secs(60),
        auth: Authenticator::open(),
        endpoint: "https://storage.test/".to_owned(),
    }
}

struct Setup {
    plan: Plan,
    ready: Result<(), String>,
    config: Config,
    limits: Limits,
}

impl Setup {
    fn new(plan: Plan) -> Self {
        Self { plan, ready: Ok(()), config: config(), limits: Limits::DEFAULT }
    }

    fn with(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    fn run(self) -> Running {
        let (began, began_end) = unbounded();
        let (release, released) = unbounded();
        let (interrupt, interrupted) = bounded(0);
        let (stop, stop_end) = bounded(1);
        let fake = Fake {
            plan: self.plan,
            ready: self.ready,
            began,
            released,
            interrupt: Mutex::new(Some(interrupt)),
            interrupted,
        };
        let metrics = Arc::new(Metrics::new("0.0.0"));
        let mut server = Server::bind(self.config, Arc::new(fake), metrics).unwrap();
        server.limits = self.limits;
        let address = server.local_addr();
        let thread = thread::spawn(move || server.run(&stop_end));
        Running { address, began: began_end, release, stop, thread }
    }
}

fn run(plan: Plan) -> Running {
    Setup::new(plan).run()
}

impl Running {
    fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        Client(BufReader::new(stream))
    }

    /// The answer to one request on a connection of its own.
    fn ask(&self, method_and_target: &str) -> Reply {
        self.connect().ask(method_and_target)
    }

    /// Sends an upload's request and waits until the uploader has it.
    fn begin_upload(&self) -> Client {
        let mut client = self.connect();
        client.send(&request("POST /api/upload-random"));
        self.began.recv_timeout(TIMEOUT).unwrap();
        client
    }

    /// Asks until the answer is as wanted.
    fn wait_for(&self, target: &str, wanted: impl Fn(&Reply) -> bool) {
        let began = Instant::now();
        loop {
            let reply = self.ask(&format!("GET {target}"));
            if wanted(&reply) {
                return;
            }
            assert!(began.elapsed() < TIMEOUT, "{target} never became as wanted: {reply:?}");
            thread::yield_now();
        }
    }

    fn wait_for_metric(&self, line: &str) {
        self.wait_for("/metrics", |reply| reply.body.lines().any(|is| is == line));
    }

    fn stop(&self) {
        self.stop.send(Stop { reason: "the test" }).unwrap();
    }

    fn end(self) -> Result<(), RunError> {
        self.thread.join().unwrap()
    }
}

fn request(method_and_target: &str) -> String {
    format!("{method_and_target} HTTP/1.1\r\nHost: test\r\n\r\n")
}

#[derive(Debug)]
struct Client(BufReader<TcpStream>);

impl Client {
    fn send(&mut self, bytes: &str) {
        self.0.get_mut().write_all(bytes.as_bytes()).unwrap();
    }

    fn ask(&mut self, method_and_target: &str) -> Reply {
        self.send(&request(method_and_target));
        let head = self.head();
        match method_and_target.starts_with("HEAD ") {
            true => head,
            false => self.with_body(head),
        }
    }

    fn receive(&mut self) -> Reply {
        let head = self.head();
        self.with_body(head)
    }

    fn head(&mut self) -> Reply {
        let mut line = || {
            let mut line = String::new();
            self.0.read_line(&mut line).unwrap();
            line.strip_suffix("\r\n").unwrap().to_owned()
        };
        let status = line();
        let mut headers = HashMap::<_, Vec<_>>::new();
        loop {
            let line = line();
            let Some((name, value)) = line.split_once(": ") else { break };
            headers.entry(name.to_ascii_lowercase()).or_default().push(value.to_owned());
        }
        let status = status.strip_prefix("HTTP/1.1 ").unwrap()[..3].parse().unwrap();
        Reply { status, headers, body: String::new() }
    }

    fn with_body(&mut self, mut head: Reply) -> Reply {
        let mut body = vec![0; head.header("content-length").parse().unwrap()];
        self.0.read_exact(&mut body).unwrap();
        head.body = String::from_utf8(body).unwrap();
        head
    }

    /// Whether the server has closed the connection, with nothing more in it.
    fn is_at_end(&mut self) -> bool {
        self.0.fill_buf().unwrap().is_empty()
    }
}

#[derive(Debug)]
struct Reply {
    status: u16,
    headers: HashMap<String, Vec<String>>,
    body: String,
}

impl Reply {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |values| &values[0])
    }

    fn says_close(&self) -> bool {
        self.headers.get("connection").is_some_and(|values| values.iter().any(|v| v == "close"))
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// Holds this answer to be the whole problem `wanted`, beside the request id that every
    /// problem states as its header does.
    #[track_caller]
    fn assert_problem(&self, mut wanted: Value) {
        assert_eq!(self.header("content-type"), "application/problem+json");
        let id = self.header("x-request-id");
        assert!(!id.is_empty());
        wanted["requestId"] = id.into();
        wanted["type"] =
            format!("urn:gcs-uploader:problem:{}", wanted["type"].as_str().unwrap()).into();
        assert_eq!(self.json(), wanted);
        assert_eq!(wanted["status"], self.status);
    }
}
