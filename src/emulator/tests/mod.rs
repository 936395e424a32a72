//! The emulator as its clients see it: over raw HTTP, to the letter.

mod buckets;
mod directory;
mod faults;
mod hostile;
mod objects;
mod resumable;
mod simple;

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::checksum::Hasher;
use super::{Config, Emulator, StoreKind};

const BUCKET: &str = "pictures";
const STEP: usize = 256 << 10;
const OBJECTS: &str = "/storage/v1/b/pictures/o";
const UPLOADS: &str = "/upload/storage/v1/b/pictures/o";

fn emulator() -> Emulator {
    emulator_on(StoreKind::Memory)
}

fn emulator_on(store: StoreKind) -> Emulator {
    let listen = "127.0.0.1:0".parse().unwrap();
    Emulator::start(Config { listen, store, buckets: vec![BUCKET.to_owned()] }).unwrap()
}

/// Bytes that differ from step to step.
fn bytes(size: usize) -> Vec<u8> {
    (0..size).map(|index| (index * 31 + index / 257 + (index >> 18) * 7) as u8).collect()
}

fn crc32c(content: &[u8]) -> String {
    let mut hasher = Hasher::default();
    hasher.update(content);
    hasher.finish().crc32c_text()
}

fn md5(content: &[u8]) -> String {
    let mut hasher = Hasher::default();
    hasher.update(content);
    hasher.finish().md5_text()
}

/// An answer.
#[derive(Debug)]
struct Response {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Response {
    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(field, _)| field.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The reason of an error in the API's form; panics unless every part of the form is there.
    fn reason(&self) -> String {
        let error = &self.json()["error"];
        assert_eq!(error["code"], self.status);
        let first = &error["errors"][0];
        assert_eq!(first["domain"], "global");
        assert_eq!(first["message"], error["message"]);
        assert!(!error["message"].as_str().unwrap().is_empty());
        first["reason"].as_str().unwrap().to_owned()
    }
}

/// A connection.
struct Connection {
    stream: BufReader<TcpStream>,
    authority: String,
}

impl Connection {
    fn to(emulator: &Emulator) -> Self {
        let stream = TcpStream::connect(emulator.addr()).unwrap();
        // Far more than anything takes: a test that hangs is to fail.
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(30))).unwrap();
        Self { stream: BufReader::new(stream), authority: emulator.addr().to_string() }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    fn send_head(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
    ) -> io::Result<()> {
        let mut head = format!("{method} {target} HTTP/1.1\r\n");
        if !headers.iter().any(|(name, _)| *name == "Host") {
            head.push_str(&format!("Host: {}\r\n", self.authority));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        self.write(head.as_bytes())
    }

    fn request(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Response> {
        let length = body.len().to_string();
        let mut headers = headers.to_vec();
        if !headers.iter().any(|(name, _)| matches!(*name, "Content-Length" | "Transfer-Encoding"))
        {
            headers.push(("Content-Length", &length));
        }
        self.send_head(method, target, &headers)?;
        self.write(body)?;
        self.read_response(method)
    }

    fn read_response(&mut self, method: &str) -> io::Result<Response> {
        let line = self.line()?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status line: {line:?}"));
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(": ").unwrap();
            headers.push((name.to_owned(), value.to_owned()));
        }
        let mut response = Response { status, headers, body: Vec::new() };
        let length = response.header("Content-Length");
        // RFC 9110, section 8.6.
        if matches!(status, 204 | 304) {
            assert_eq!(length, None);
            return Ok(response);
        }
        let length = length.expect("a response states its length");
        let length = if method == "HEAD" { 0 } else { length.parse().unwrap() };
        response.body.resize(length, 0);
        self.stream.read_exact(&mut response.body)?;
        Ok(response)
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(line.trim_end_matches(['\r', '\n']).to_owned()),
        }
    }
}

/// One request on a connection of its own, which must be answered.
fn request(
    emulator: &Emulator,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Response {
    Connection::to(emulator).request(method, target, headers, body).unwrap()
}

fn get(emulator: &Emulator, target: &str) -> Response {
    request(emulator, "GET", target, &[], b"")
}

/// Makes an object in one request; returns its resource.
fn put(emulator: &Emulator, name: &str, content: &[u8]) -> Value {
    let name = utf8_percent_encode(name, NON_ALPHANUMERIC);
    let target = format!("{UPLOADS}?uploadType=media&name={name}");
    let response = request(emulator, "POST", &target, &[("Content-Type", "text/plain")], content);
    assert_eq!(response.status, 200, "{response:?}");
    response.json()
}

/// A session, as a client holds it.
struct Session<'a> {
    emulator: &'a Emulator,
    target: String,
}

impl<'a> Session<'a> {
    fn start(emulator: &'a Emulator, name: &str) -> Self {
        Self::start_with(emulator, &format!("name={name}"), &[], "")
    }

    fn start_with(
        emulator: &'a Emulator,
        query: &str,
        headers: &[(&str, &str)],
        metadata: &str,
    ) -> Self {
        let target = format!("{UPLOADS}?uploadType=resumable&{query}");
        let response = request(emulator, "POST", &target, headers, metadata.as_bytes());
        assert_eq!(response.status, 200, "{response:?}");
        let location = response.header("Location").unwrap();
        let target = location.strip_prefix(&emulator.url()).unwrap_or(location).to_owned();
        Self { emulator, target }
    }

    fn put(&self, range: &str, body: &[u8]) -> Response {
        self.put_with(&[("Content-Range", range)], body)
    }

    fn put_with(&self, headers: &[(&str, &str)], body: &[u8]) -> Response {
        request(self.emulator, "PUT", &self.target, headers, body)
    }

    /// The bytes `from..to` of an object of `total` bytes.
    fn put_part(&self, content: &[u8], from: usize, to: usize) -> Response {
        let range = format!("bytes {from}-{}/{}", to - 1, content.len());
        self.put(&range, &content[from..to])
    }

    fn status(&self) -> Response {
        self.put("bytes */*", b"")
    }

    /// How many bytes are persisted; the object must not be whole.
    fn persisted(&self) -> u64 {
        let response = self.status();
        assert_eq!(response.status, 308, "{response:?}");
        response
            .header("Range")
            .map_or(0, |range| range.strip_prefix("bytes=0-").unwrap().parse::<u64>().unwrap() + 1)
    }
}
