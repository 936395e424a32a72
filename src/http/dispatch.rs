//! tiny_http, out of the clients' reach: requests get to it over streams inside the process, and
//! only those that the gate has found clean.
//!
//! Its streams, threads and descriptors are made at the start, and then its listening socket is shut
//! down: afterwards it accepts nobody, so that nothing can make it fail (an accept thread of
//! tiny_http ends at the first error), and nobody else on the machine can take himself for the gate.
//! A few streams are there before the first client comes; the others, on a tiny_http of their own,
//! follow at once, so that a server is healthy within milliseconds. Every request carries a secret of the process besides, and the
//! address of its client.
//!
//! A body does not take that way: it waits in [`Bodies`] under the number of its connection, which the
//! request carries, for whoever answers the request.
//!
//! A stream is held from a request until its answer has been read, whatever the client does. There
//! is one for each upload that may run or wait, and [`AT_HAND`] for all else, which is answered out
//! of memory: so none of that waits for an upload.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::str;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use httparse::{Response, Status};
use socket2::SockRef;

use crate::http::body::Body;
use crate::http::request::Received;
use crate::http::request_head::AnswerBody;
use crate::server::uploads::context::Face;

/// How many streams there are beyond those that uploads may hold.
pub(crate) const AT_HAND: usize = 16;

/// How long tiny_http may take to greet a new stream.
const GREETING: Duration = Duration::from_secs(10);

/// The header that no client can send: the secret, the client's address, and its connection's number.
const INTRODUCTION: &str = "X-Gate";

/// The head of an answer of ours is a few hundred bytes long.
const ANSWER_READ: usize = 2048;

const MAX_ANSWER_HEADERS: usize = 32;

pub(crate) struct Relay {
    secret: String,
    connections: AtomicU64,
    bodies: Arc<Bodies>,
    streams: Mutex<Streams>,
    freed: Condvar,
    libraries: Mutex<Libraries>,
}

/// What takes requests.
#[derive(Default)]
struct Libraries {
    servers: Vec<&'static tiny_http::Server>,
    /// Nobody waits for further ones.
    released: bool,
}

#[derive(Default)]
struct Streams {
    /// The last one that was used is used next: what it needs is in the caches.
    idle: Vec<UnixStream>,
    /// Idle and lent.
    all: usize,
}

/// The bodies of those requests that are on their way through the library.
#[derive(Debug, Default)]
struct Bodies(Mutex<HashMap<u64, Body>>);

impl Bodies {
    fn put(&self, connection: u64, body: Body) {
        self.lock().insert(connection, body);
    }

    fn take(&self, connection: u64) -> Option<Body> {
        self.lock().remove(&connection)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Body>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection, as the library's side is told of it.
#[derive(Clone, Debug)]
pub(crate) struct Introduction {
    connection: u64,
    /// A header line, with its line end.
    pub(crate) line: String,
}

/// How many streams it takes for as many uploads and connections as there may be.
pub(crate) fn streams_for(uploads: usize, connections: usize) -> usize {
    uploads.saturating_add(AT_HAND).min(connections)
}

impl Relay {
    /// A relay without any stream: see [`Relay::grow`].
    pub(crate) fn new() -> Self {
        Self {
            secret: random_text(),
            connections: AtomicU64::new(0),
            bodies: Arc::default(),
            streams: Mutex::default(),
            freed: Condvar::new(),
            libraries: Mutex::default(),
        }
    }

    /// Sets up a tiny_http with that many streams more; the thread that takes requests from it, which
    /// never waits for a client. None, if the fronts were [released](Relay::release_fronts) before.
    pub(crate) fn grow(
        &self,
        face: &Arc<Face>,
        streams: usize,
    ) -> io::Result<Option<JoinHandle<()>>> {
        let (server, idle) = connect(&self.secret, streams)?;
        {
            let mut libraries = self.libraries.lock().unwrap_or_else(PoisonError::into_inner);
            if libraries.released {
                return Ok(None);
            }
            libraries.servers.push(server);
        }
        let (face, secret) = (Arc::clone(face), self.secret.clone());
        let bodies = Arc::clone(&self.bodies);
        let run = move || front(server, &face, &secret, &bodies);
        let front = thread::Builder::new().name("front".to_owned()).spawn(run)?;
        let mut all = self.lock();
        all.all += idle.len();
        all.idle.extend(idle);
        self.freed.notify_all();
        Ok(Some(front))
    }

    /// What introduces the requests of a new connection of this client.
    pub(crate) fn introduce(&self, client: IpAddr) -> Introduction {
        let connection = self.connections.fetch_add(1, Ordering::Relaxed);
        let line = format!("{INTRODUCTION}: {} {client} {connection}\r\n", self.secret);
        Introduction { connection, line }
    }

    /// Passes a request on, and puts the answer into `answer`; the length of its head.
    pub(crate) fn exchange(
        &self,
        request: &[u8],
        answer: &mut Vec<u8>,
        body: AnswerBody,
    ) -> io::Result<usize> {
        let (mut stream, loan) = self.lend()?;
        stream.write_all(request)?;
        let head = read_answer(&mut stream, answer, body)?;
        loan.give_back(stream);
        Ok(head)
    }

    /// As [`exchange`](Self::exchange), of a request with a body, which waits for whoever answers.
    pub(crate) fn exchange_with_body(
        &self,
        introduction: &Introduction,
        body: &Body,
        request: &[u8],
        answer: &mut Vec<u8>,
    ) -> io::Result<usize> {
        self.bodies.put(introduction.connection, body.clone());
        let head = self.exchange(request, answer, AnswerBody::Follows);
        // If the library never showed the request, nobody has taken it.
        self.bodies.take(introduction.connection);
        head
    }

    /// Ends the threads that take requests.
    pub(crate) fn release_fronts(&self) {
        let mut libraries = self.libraries.lock().unwrap_or_else(PoisonError::into_inner);
        libraries.released = true;
        libraries.servers.iter().for_each(|server| server.unblock());
    }

    fn lend(&self) -> io::Result<(UnixStream, Loan<'_>)> {
        let mut streams = self.lock();
        loop {
            if let Some(stream) = streams.idle.pop() {
                return Ok((stream, Loan(self)));
            }
            if streams.all == 0 {
                return Err(io::Error::other("all streams to the HTTP library are lost"));
            }
            streams = self.freed.wait(streams).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a stream as lost unless it was given back: something went wrong on it.
struct Loan<'a>(&'a Relay);

impl Loan<'_> {
    fn give_back(self, stream: UnixStream) {
        self.0.lock().idle.push(stream);
        self.0.freed.notify_one();
        std::mem::forget(self);
    }
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        let mut streams = self.0.lock();
        streams.all -= 1;
        log::error!("lost a stream to the HTTP library; {} are left", streams.all);
        // If it was the last one, nobody else will wake those who wait.
        self.0.freed.notify_all();
    }
}

fn read_answer(
    stream: &mut UnixStream,
    answer: &mut Vec<u8>,
    body: AnswerBody,
) -> io::Result<usize> {
    answer.clear();
    loop {
        let begun = answer.len();
        answer.resize(begun + ANSWER_READ, 0);
        let count = receive(stream, &mut answer[begun..])?;
        answer.truncate(begun + count);
        let Some((head, content)) = measure(answer)? else { continue };
        let length = match body {
            AnswerBody::Follows => head.saturating_add(content),
            AnswerBody::Missing => head,
        };
        let begun = answer.len();
        if begun > length {
            return Err(io::Error::other("an answer is longer than it says"));
        }
        answer.resize(length, 0);
        stream.read_exact(&mut answer[begun..])?;
        return Ok(head);
    }
}

fn receive(stream: &mut UnixStream, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.read(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            read => return read,
        }
    }
}

/// The lengths of an answer's head and body; `None` if the head is not all there.
fn measure(answer: &[u8]) -> io::Result<Option<(usize, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_ANSWER_HEADERS];
    let mut response = Response::new(&mut headers);
    let Status::Complete(head) = response.parse(answer).map_err(io::Error::other)? else {
        return Ok(None);
    };
    let mut headers = response.headers.iter();
    let length = headers.find(|header| header.name.eq_ignore_ascii_case("Content-Length"));
    let length = length.and_then(|header| str::from_utf8(header.value).ok()?.parse().ok());
    match length {
        Some(length) => Ok(Some((head, length))),
        None => Err(io::Error::other("an answer does not state its length")),
    }
}

/// Sets up tiny_http, and streams to it.
fn connect(
    secret: &str,
    streams: usize,
) -> io::Result<(&'static tiny_http::Server, Vec<UnixStream>)> {
    // In no file system, so that none needs to be writable.
    let address = SocketAddr::from_abstract_name(random_text())?;
    let listener = UnixListener::bind_addr(&address)?;
    let handle = listener.try_clone()?;
    let server = tiny_http::Server::from_listener(listener, None).map_err(io::Error::other)?;
    // Dropped, it would look for a path that its address does not have, and panic.
    let server: &'static tiny_http::Server = Box::leak(Box::new(server));
    let streams =
        (0..streams).map(|_| greet(server, &address, secret)).collect::<io::Result<_>>()?;
    SockRef::from(&handle).shutdown(Shutdown::Both)?;
    // The accept thread says so when it ends.
    match server.recv_timeout(GREETING) {
        Err(_) => Ok((server, streams)),
        Ok(_) => Err(io::Error::other("the HTTP library goes on accepting connections")),
    }
}

/// One stream. It is in tiny_http's hands when this returns: of several that it is given at once, it
/// may leave one waiting for another's end.
fn greet(server: &tiny_http::Server, address: &SocketAddr, secret: &str) -> io::Result<UnixStream> {
    let mut stream = UnixStream::connect_addr(address)?;
    write!(stream, "GET / HTTP/1.1\r\n{INTRODUCTION}: {secret} :: 0\r\n\r\n")?;
    let request = server.recv_timeout(GREETING)?;
    match request.as_ref().and_then(|request| client_of(request, secret)) {
        Some(_) => {
            // Dropped without a word, the writer answers nothing.
            request.map(tiny_http::Request::into_writer);
            Ok(stream)
        }
        None => Err(io::Error::other("the HTTP library did not take a stream")),
    }
}

/// The address of the client whose request the gate has passed on, and the number of its connection;
/// `None` if it was not the gate.
fn client_of(request: &tiny_http::Request, secret: &str) -> Option<(IpAddr, u64)> {
    let mut headers = request.headers().iter();
    let introduction = headers.find(|header| header.field.equiv(INTRODUCTION))?;
    let (shown, client) = introduction.value.as_str().split_once(' ')?;
    let (address, connection) = client.split_once(' ')?;
    (shown == secret).then(|| Some((address.parse().ok()?, connection.parse().ok()?)))?
}

/// Takes requests from tiny_http until it is told to end.
fn front(server: &tiny_http::Server, face: &Face, secret: &str, bodies: &Bodies) {
    while let Ok(request) = server.recv() {
        match client_of(&request, secret) {
            Some((client, connection)) => face.guarded(|| {
                face.serve(Received::new(request, client, bodies.take(connection)));
            }),
            None => log::error!("refused a request that did not come through the gate"),
        }
    }
}

/// 128 bits that nobody can guess.
fn random_text() -> String {
    format!("{:032x}", rand::random::<u128>())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use proptest::prelude::*;

    use super::*;
    use crate::http::request_head;

    proptest! {
        #[test]
        fn what_the_gate_lets_pass_the_library_understands_and_the_stream_goes_on(
            method in "[!-~]{1,9}",
            target in "[!-~]{1,30}",
            lines in prop::collection::vec(
                "(Host|User-Agent|X-Request-Id|Authorization|[!-~]{1,9}):[ -~\t]{0,20}", 0..6),
        ) {
            thread_local! {
                static LIBRARY: RefCell<(&'static tiny_http::Server, Vec<UnixStream>)> =
                    RefCell::new(connect("secret", 1).unwrap());
            }
            let host = "Host: h\r\n";
            let text = format!("{method} {target} HTTP/1.1\r\n{host}{}\r\n\r\n", lines.join("\r\n"));
            let mut passed_on = Vec::new();
            let introduction = format!("{INTRODUCTION}: secret ::1 7\r\n");
            if let Ok(Some(_)) = request_head::read(text.as_bytes(), &introduction, &mut passed_on) {
                LIBRARY.with_borrow_mut(|(server, streams)| {
                    streams[0].write_all(&passed_on).unwrap();
                    let request = server.recv_timeout(GREETING).unwrap().expect("a request");
                    assert_eq!(client_of(&request, "secret"), Some(("::1".parse().unwrap(), 7)));
                    assert_eq!(request.method().as_str(), method);
                    assert_eq!(request.url(), target);
                    request.into_writer();
                });
            }
        }
    }

    #[test]
    fn nobody_else_can_connect() {
        let (_, streams) = connect("secret", 3).unwrap();
        let address = streams[0].peer_addr().unwrap();
        assert!(address.as_abstract_name().is_some_and(|name| name.len() == 32));
        let refused = UnixStream::connect_addr(&address).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    }

    #[test]
    fn the_client_is_known_by_the_secret_alone() {
        let request = |line: &str| {
            let header: tiny_http::Header = line.parse().unwrap();
            tiny_http::TestRequest::new().with_header(header).into()
        };
        let client = client_of(&request("X-Gate: secret 2001:db8::1 7"), "secret");
        assert_eq!(client, Some(("2001:db8::1".parse().unwrap(), 7)));
        for line in ["X-Gate: secre 127.0.0.1 7", "X-Gate: secret", "Gate: secret ::1 7"] {
            assert_eq!(client_of(&request(line), "secret"), None, "{line}");
        }
    }

    #[test]
    fn there_are_streams_for_all_uploads_and_some_more_but_no_more_than_connections() {
        assert_eq!(streams_for(160, 512), 176);
        assert_eq!(streams_for(160, 100), 100);
    }
}
