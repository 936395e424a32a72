//! Clients that send whatever bytes a test wants, and a crowd that watches how the server fares
//! meanwhile.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::{PATIENCE, Process, Server};

/// A connection.
pub struct Raw {
    stream: TcpStream,
    received: Vec<u8>,
}

/// An answer as it came.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HashMap<String, String>,
    pub body: String,
}

impl Reply {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub fn says_close(&self) -> bool {
        self.header("connection") == "close"
    }
}

impl Raw {
    /// `None` if nobody accepts connections.
    pub fn try_connect(url: &str) -> Option<Self> {
        let stream = TcpStream::connect(url.trim_start_matches("http://")).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Some(Self { stream, received: Vec::new() })
    }

    pub fn connect(url: &str) -> Self {
        Self::try_connect(url).unwrap_or_else(|| panic!("{url} accepts no connection"))
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Sends `piece` again and again until the other side takes no more; how many bytes it took.
    pub fn flood(&mut self, piece: &[u8]) -> u64 {
        let mut taken = 0;
        while let Ok(count) = self.stream.write(piece) {
            taken += count as u64;
        }
        taken
    }

    /// Says that no more will come.
    pub fn finish(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// The next answer; `None` if the connection ends, in whatever way, before it is whole.
    pub fn answer(&mut self) -> Option<Reply> {
        let head = loop {
            match self.received.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                Some(end) => break end + 4,
                None => self.receive()?,
            }
        };
        let text = String::from_utf8(self.received[..head].to_vec()).unwrap();
        let mut lines = text.trim_end().split("\r\n");
        let status = lines.next()?.strip_prefix("HTTP/1.1 ").unwrap()[..3].parse().unwrap();
        let mut headers = HashMap::new();
        for (name, value) in lines.map(|line| line.split_once(": ").unwrap()) {
            let before = headers.insert(name.to_ascii_lowercase(), value.to_owned());
            assert!(before.is_none(), "{name} is there twice in {text}");
        }
        let length: usize = headers["content-length"].parse().unwrap();
        while self.received.len() < head + length {
            self.receive()?;
        }
        let body = String::from_utf8(self.received[head..head + length].to_vec()).unwrap();
        self.received.drain(..head + length);
        Some(Reply { status, headers, body })
    }

    fn receive(&mut self) -> Option<()> {
        let mut buffer = [0; 16 << 10];
        let count = self.stream.read(&mut buffer).ok().filter(|count| *count > 0)?;
        self.received.extend_from_slice(&buffer[..count]);
        Some(())
    }

    /// Whether the server ends the connection, with nothing more on it.
    pub fn is_at_end(&mut self) -> bool {
        self.received.is_empty() && self.receive().is_none()
    }
}

/// A request without a body, on a connection that is kept.
pub fn request(method_and_target: &str) -> String {
    format!("{method_and_target} HTTP/1.1\r\nHost: test\r\n\r\n")
}

/// The same, with these header lines, which need no line end.
pub fn request_with(method_and_target: &str, lines: &str) -> String {
    format!("{method_and_target} HTTP/1.1\r\nHost: test\r\n{lines}\r\n\r\n")
}

/// How soon health must be answered.
const PROMPT: Duration = Duration::from_secs(1);

/// How often it is asked. The machine that runs the tests may itself stand still for a second; a
/// server that does would do so more than this many times in a row.
const ATTEMPTS: usize = 3;

/// Whether the server answers within a second that it is healthy, on a connection of its own.
pub fn is_healthy(url: &str) -> bool {
    (0..ATTEMPTS).any(|_| {
        let asked = Instant::now();
        loop {
            let status = Raw::try_connect(url).and_then(|mut raw| {
                raw.send(request("GET /api/health")).ok()?;
                Some(raw.answer()?.status)
            });
            match status {
                Some(200) if asked.elapsed() <= PROMPT => return true,
                _ if asked.elapsed() > PROMPT => return false,
                _ => thread::sleep(Duration::from_millis(20)),
            }
        }
    })
}

/// Others, who use the server while something is done to it.
pub struct Others {
    over: Arc<AtomicBool>,
    uploading: Vec<JoinHandle<usize>>,
    watching: Vec<JoinHandle<usize>>,
}

impl Others {
    /// Some who upload all the time, and some who ask for health all the time.
    pub fn of(server: &Server) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let uploading = (0..3).map(|_| spawn(&over, &server.url, |url| upload(url).is_some()));
        let watch = spawn(&over, &server.url, is_healthy);
        let mut kept = Raw::connect(&server.url);
        let watch_kept = spawn(&over, &server.url, move |_| {
            kept.send(request("GET /api/health")).unwrap();
            thread::sleep(Duration::from_millis(20));
            kept.answer().is_some_and(|reply| reply.status == 200)
        });
        let uploading = uploading.collect();
        Self { over, uploading, watching: vec![watch, watch_kept] }
    }

    /// Each upload was stored, and each question for health answered in time. How many uploads.
    pub fn were_served(self) -> usize {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.watching {
            assert!(thread.join().unwrap() > 0, "nobody asked for health");
        }
        self.uploading.into_iter().map(|thread| thread.join().unwrap()).sum()
    }
}

/// Does this again and again until it is over, and at least once; how often.
fn spawn(
    over: &Arc<AtomicBool>,
    url: &str,
    mut act: impl FnMut(&str) -> bool + Send + 'static,
) -> JoinHandle<usize> {
    let (over, url) = (Arc::clone(over), url.to_owned());
    thread::spawn(move || {
        let mut times = 0;
        loop {
            assert!(act(&url), "not served, after {times} times");
            times += 1;
            if over.load(Ordering::Relaxed) {
                return times;
            }
        }
    })
}

/// Uploads a file, coming again when told to; the answer that it is stored.
pub fn upload(url: &str) -> Option<Reply> {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        let mut raw = Raw::connect(url);
        raw.send(request("POST /api/upload-random?size=64KiB")).ok()?;
        let reply = raw.answer()?;
        match (reply.status, reply.body.contains("too-many-connections")) {
            (201, _) => return Some(reply),
            (503, true) => thread::sleep(Duration::from_millis(50)),
            _ => panic!("{reply:?}"),
        }
    }
    None
}

/// What the system tells of a process: `VmHWM` and `VmRSS` in KiB, `Threads`.
pub fn status_of(process: &Process, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap().trim().trim_end_matches(" kB").parse().unwrap()
}

pub fn descriptors_of(process: &Process) -> usize {
    fs::read_dir(format!("/proc/{}/fd", process.id())).unwrap().count()
}

/// Waits until it is so.
pub fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "never: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Lets the test have as many descriptors as the system allows: it is a thousand clients.
pub fn allow_many_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
}

/// Tells a figure to who runs the test with `--nocapture`.
#[allow(clippy::print_stdout, reason = "for a person who asks for it")]
pub fn say(text: &str) {
    println!("{text}");
}
