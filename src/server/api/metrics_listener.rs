//! A listener for `GET /metrics` alone, so that the one for everybody need not have it.
//!
//! Whoever scrapes asks every few seconds, on one connection or two: so one thread takes one
//! connection after the other, reads one short request, answers, and closes. It holds nobody
//! longer than [`PATIENCE`], and never more than one connection.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::str;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};
use tiny_http::Method;

use crate::http::request_id::RequestId;
use crate::http::response::Answer;
use crate::server::problem::{self, Problem};
use crate::server::router::{self, Offer};
use crate::server::uploads::context::Face;

/// How many connections may wait.
const BACKLOG: i32 = 16;

/// How long one connection may take, in all.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long a request's head may be, in bytes.
const LONGEST: usize = 8 << 10;

/// How often it is seen whether this is to end; also how long it waits after `accept` failed.
const LOOK_EVERY: Duration = Duration::from_millis(250);

pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    // Bounds `accept` as well.
    socket.set_read_timeout(Some(LOOK_EVERY))?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// An open one; closed, its thread ends.
pub(crate) struct MetricsDoor {
    closing: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl MetricsDoor {
    pub(crate) fn open(listener: TcpListener, face: Arc<Face>) -> io::Result<Self> {
        let closing = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&closing);
        let serve = move || {
            while !seen.load(Ordering::Relaxed) {
                face.guarded(|| serve_next(&listener, &face));
            }
        };
        let thread = thread::Builder::new().name("metrics".to_owned()).spawn(serve)?;
        Ok(Self { closing, thread })
    }

    pub(crate) fn close(self) {
        self.closing.store(true, Ordering::Relaxed);
        if self.thread.join().is_err() {
            log::error!("the thread that answers for metrics had ended in a panic");
        }
    }
}

/// Waits for the next connection, for a while, and serves it.
fn serve_next(listener: &TcpListener, face: &Face) {
    let served = match listener.accept() {
        Ok((stream, _)) => serve(&stream, face),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
        Err(error) => {
            log::warn!("cannot accept a connection for metrics: {error}; trying again");
            return thread::sleep(LOOK_EVERY);
        }
    };
    if let Err(error) = served {
        log::debug!("a connection for metrics ended early: {error}");
    }
}

fn serve(stream: &TcpStream, face: &Face) -> io::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let head = read_head(stream, deadline)?;
    let (method, reply) = decide(&head, face);
    let mut answer = reply.unwrap_or_else(|problem| problem.into_answer(&RequestId::choose(None)));
    answer = answer.with_header("Connection", "close");
    let body = if method == Some(Method::Head) { &[][..] } else { &answer.body };
    write_all(stream, &[&answer.head(), body].concat(), deadline)?;
    // What it still sends would turn the end of the answer into a reset.
    stream.shutdown(std::net::Shutdown::Write)
}

/// Everything up to the empty line; or as much as is read of one, which then is too long.
fn read_head(mut stream: &TcpStream, deadline: Instant) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut buffer = [0; 1024];
    while head.len() <= LONGEST && !head.windows(4).any(|end| end == b"\r\n\r\n") {
        stream.set_read_timeout(Some(left(deadline)?))?;
        match stream.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => head.extend_from_slice(&buffer[..count]),
        }
    }
    Ok(head)
}

fn write_all(mut stream: &TcpStream, mut bytes: &[u8], deadline: Instant) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.set_write_timeout(Some(left(deadline)?))?;
        let written = stream.write(bytes)?;
        bytes = &bytes[written..];
    }
    Ok(())
}

fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

fn decide(head: &[u8], face: &Face) -> (Option<Method>, Result<Answer, Problem>) {
    let Some((method, target)) = request_line(head) else {
        let detail = format!("This is no HTTP/1 request with a head of up to {LONGEST} bytes.");
        return (None, Err(Problem::new(&problem::MALFORMED, detail)));
    };
    let (path, _) = router::split(target);
    let reply = router::route(&method, path, Offer::Metrics).map(|_| face.metrics_page());
    (Some(method), reply)
}

/// The method and the target of a request.
pub(crate) fn request_line(head: &[u8]) -> Option<(Method, &str)> {
    if head.len() > LONGEST {
        return None;
    }
    let end = head.windows(2).position(|end| end == b"\r\n")?;
    let mut words = str::from_utf8(&head[..end]).ok()?.split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    if words.next().is_some() || !matches!(version, "HTTP/1.1" | "HTTP/1.0") {
        return None;
    }
    Some((method.parse().ok()?, target))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_line_has_three_words() {
        let (method, target) = request_line(b"GET /metrics?x HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
        assert_eq!((method, target), (Method::Get, "/metrics?x"));
        for head in [
            &b"GET /metrics\r\n\r\n"[..],
            b"GET  /metrics HTTP/1.1\r\n\r\n",
            b"GET /metrics HTTP/2.0\r\n\r\n",
            b"GET /metrics HTTP/1.1 x\r\n\r\n",
            b"\x16\x03\x01\r\n\r\n",
            b"\r\n\r\n",
            b"GET \xff HTTP/1.1\r\n\r\n",
            b"GET /metrics HTTP/1.1",
            &[b'a'; LONGEST + 1],
        ] {
            assert!(request_line(head).is_none(), "{:?}", String::from_utf8_lossy(head));
        }
    }
}
