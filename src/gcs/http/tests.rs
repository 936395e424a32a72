//! The transport over real sockets, against servers that do exactly what a test says.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Instant;

use socket2::SockRef;

use super::*;
use crate::content::{RandomContent, Seed};

const SHORT_TIMEOUT: Duration = Duration::from_millis(200);
const TEST_TIMEOUT: Duration = Duration::from_secs(30);

/// A server that hands each connection to `serve`, one after another; and its URL.
fn server(
    mut serve: impl FnMut(Connection) + Send + 'static,
    connections: usize,
) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // What the kernel takes on the server's behalf is small, so that the server's pace shows.
    SockRef::from(&listener).set_recv_buffer_size(64 << 10).unwrap();
    let url = format!("http://{}/upload?upload_id=s3cret", listener.local_addr().unwrap());
    let thread = std::thread::spawn(move || {
        for _ in 0..connections {
            serve(Connection::new(listener.accept().unwrap().0));
        }
    });
    (url, thread)
}

/// The server's end of a connection.
struct Connection {
    reader: BufReader<TcpStream>,
}

impl Connection {
    fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(TEST_TIMEOUT)).unwrap();
        Self { reader: BufReader::new(stream) }
    }

    /// The next request's head, in lower case.
    fn head(&mut self) -> String {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(self.reader.read_line(&mut head).unwrap() > 0, "no whole head: {head:?}");
        }
        head.to_lowercase()
    }

    fn body(&mut self, length: usize) -> Vec<u8> {
        let mut body = vec![0; length];
        self.reader.read_exact(&mut body).unwrap();
        body
    }

    fn respond(&mut self, response: &str) {
        self.reader.get_mut().write_all(response.as_bytes()).unwrap();
    }

    /// Ends the connection with a reset.
    fn reset(self) {
        SockRef::from(self.reader.get_ref()).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// Waits for the client to end the connection.
    fn wait_for_end(mut self) {
        let mut sink = [0; 64 << 10];
        while matches!(self.reader.read(&mut sink), Ok(1..)) {}
    }
}

fn transport() -> HttpTransport {
    HttpTransport::new(HttpConfig { stall_timeout: SHORT_TIMEOUT, ..HttpConfig::for_uploads(4) })
}

fn request<'a>(method: Method, url: &'a str, body: Body<'a>) -> Request<'a> {
    Request { method, url, headers: Vec::new(), body, timeout: TEST_TIMEOUT, urgent: false }
}

fn rest(content: &RandomContent, offset: u64) -> Body<'_> {
    Body::Rest { content, offset, observer: &() }
}

#[test]
fn status_308_is_returned_and_not_followed() {
    let (url, thread) = server(
        |mut connection| {
            connection.head();
            connection.respond(
                "HTTP/1.1 308 Resume Incomplete\r\nRange: bytes=0-9\r\nLocation: /x\r\n\
                 Retry-After: 3\r\nContent-Length: 0\r\n\r\n",
            );
        },
        1,
    );
    let response = transport().send(&request(Method::Put, &url, Body::Empty)).unwrap();
    assert_eq!(response.status, 308);
    assert_eq!(response.range.as_deref(), Some("bytes=0-9"));
    assert_eq!(response.location.as_deref(), Some("/x"));
    assert_eq!(response.retry_after.as_deref(), Some("3"));
    thread.join().unwrap();
}

#[test]
fn content_is_sent_from_its_offset_with_content_length() {
    let content = RandomContent::new(Seed::new(1), 300_000);
    let (sender, received) = mpsc::channel();
    let (url, thread) = server(
        move |mut connection| {
            let head = connection.head();
            sender.send((head, connection.body(200_000))).unwrap();
            connection.respond("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
        },
        1,
    );
    let response = transport().send(&request(Method::Put, &url, rest(&content, 100_000))).unwrap();
    assert_eq!((response.status, response.body), (200, b"{}".to_vec()));
    let (head, body) = received.recv().unwrap();
    assert!(head.contains("content-length: 200000\r\n"), "{head}");
    assert!(!head.contains("transfer-encoding"), "{head}");
    let mut expected = vec![0; 200_000];
    content.read_at(100_000, &mut expected[..199_996]).unwrap();
    content.read_at(299_996, &mut expected[199_996..]).unwrap();
    assert!(body == expected);
    thread.join().unwrap();
}

#[test]
fn empty_body_has_content_length_only_for_put_and_post() {
    for (method, length) in
        [(Method::Put, true), (Method::Post, true), (Method::Get, false), (Method::Delete, false)]
    {
        let (sender, received) = mpsc::channel();
        let (url, thread) = server(
            move |mut connection| {
                sender.send(connection.head()).unwrap();
                connection.respond("HTTP/1.1 499 Client Closed\r\nContent-Length: 0\r\n\r\n");
            },
            1,
        );
        let response = transport().send(&request(method, &url, Body::Empty)).unwrap();
        assert_eq!(response.status, 499);
        let head = received.recv().unwrap();
        assert_eq!(head.contains("content-length: 0\r\n"), length, "{head}");
        assert!(!head.contains("transfer-encoding"), "{head}");
        thread.join().unwrap();
    }
}

#[test]
fn requests_share_one_connection() {
    let (url, thread) = server(
        |mut connection| {
            for _ in 0..3 {
                connection.head();
                connection.respond("HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy");
            }
        },
        1,
    );
    let transport = transport();
    for _ in 0..3 {
        let response = transport.send(&request(Method::Put, &url, Body::Empty)).unwrap();
        assert_eq!((response.status, response.body), (503, b"busy".to_vec()));
    }
    thread.join().unwrap();
}

#[test]
fn small_request_is_sent_in_one_write() {
    let (url, thread) = server(
        |connection| {
            let mut bytes = vec![0; 64 << 10];
            let mut stream = connection.reader.into_inner();
            let count = stream.read(&mut bytes).unwrap();
            let request = String::from_utf8_lossy(&bytes[..count]);
            assert!(request.starts_with("POST") && request.ends_with("a small body"), "{request}");
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
        },
        1,
    );
    let body = Body::Bytes(b"a small body");
    assert_eq!(transport().send(&request(Method::Post, &url, body)).unwrap().status, 200);
    thread.join().unwrap();
}

#[test]
fn truncated_response_body_is_returned_as_received() {
    let (url, thread) = server(
        |mut connection| {
            connection.head();
            connection.respond("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"name\":");
        },
        1,
    );
    let response = transport().send(&request(Method::Put, &url, Body::Empty)).unwrap();
    assert_eq!((response.status, response.body), (200, b"{\"name\":".to_vec()));
    thread.join().unwrap();
}

#[test]
fn endless_response_body_is_read_up_to_the_limit() {
    let (url, thread) = server(
        |mut connection| {
            connection.head();
            connection.respond("HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n");
            let junk = "x".repeat(1 << 20);
            while connection.reader.get_mut().write_all(junk.as_bytes()).is_ok() {}
        },
        1,
    );
    let response = transport().send(&request(Method::Put, &url, Body::Empty)).unwrap();
    assert_eq!(response.body.len(), MAX_BODY);
    thread.join().unwrap();
}

#[test]
fn endless_response_head_is_an_error() {
    let (url, thread) = server(
        |mut connection| {
            connection.head();
            connection.respond("HTTP/1.1 200 OK\r\n");
            while connection.reader.get_mut().write_all(b"X-Junk: junk\r\n").is_ok() {}
        },
        1,
    );
    assert!(transport().send(&request(Method::Put, &url, Body::Empty)).is_err());
    thread.join().unwrap();
}

#[test]
fn response_that_is_not_http_is_an_error_without_url() {
    let (url, thread) = server(
        |mut connection| {
            connection.head();
            connection.respond("SSH-2.0-OpenSSH_9.2\r\n\r\n");
        },
        1,
    );
    let error = transport().send(&request(Method::Put, &url, Body::Empty)).unwrap_err();
    assert!(!error.to_string().contains("s3cret"), "{error}");
    thread.join().unwrap();
}

#[test]
fn connection_reset_or_closed_is_reported_as_broken() {
    for end in [Connection::reset, drop as fn(Connection)] {
        let (url, thread) = server(
            move |mut connection| {
                connection.head();
                end(connection);
            },
            1,
        );
        let error = transport().send(&request(Method::Put, &url, Body::Empty)).unwrap_err();
        assert!(matches!(error, TransportError::Broken(_)), "{error:?}");
        thread.join().unwrap();
    }
}

#[test]
fn connection_reset_during_the_body_is_reported_as_broken() {
    let content = RandomContent::new(Seed::new(2), 64 << 20);
    let (url, thread) = server(
        |mut connection| {
            connection.head();
            connection.body(1 << 20);
            connection.reset();
        },
        1,
    );
    let error = transport().send(&request(Method::Put, &url, rest(&content, 0))).unwrap_err();
    assert!(matches!(error, TransportError::Broken(_)), "{error:?}");
    thread.join().unwrap();
}

#[test]
fn peer_that_never_responds_is_reported_as_stalled() {
    let (url, thread) = server(
        |mut connection| {
            connection.head();
            connection.wait_for_end();
        },
        1,
    );
    let error = transport().send(&request(Method::Put, &url, Body::Empty)).unwrap_err();
    assert!(matches!(error, TransportError::Stalled(_)), "{error:?}");
    thread.join().unwrap();
}

#[test]
fn peer_that_never_reads_is_reported_as_stalled() {
    let content = RandomContent::new(Seed::new(3), 1 << 30);
    let (hold, released) = mpsc::channel::<()>();
    let (url, thread) = server(
        move |mut connection| {
            connection.head();
            let _ = released.recv();
        },
        1,
    );
    let error = transport().send(&request(Method::Put, &url, rest(&content, 0))).unwrap_err();
    assert!(matches!(error, TransportError::Stalled(_)), "{error:?}");
    drop(hold);
    thread.join().unwrap();
}

#[test]
fn slow_transfer_with_progress_is_not_interrupted() {
    let content = RandomContent::new(Seed::new(4), 8 << 20);
    let began = Instant::now();
    let (url, thread) = server(
        |mut connection| {
            connection.head();
            for _ in 0..16 {
                connection.body(512 << 10);
                std::thread::sleep(SHORT_TIMEOUT / 4);
            }
            connection.respond("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        },
        1,
    );
    let response = transport().send(&request(Method::Put, &url, rest(&content, 0))).unwrap();
    assert_eq!(response.status, 200);
    assert!(began.elapsed() > 3 * SHORT_TIMEOUT, "the transfer took many times the stall's time");
    thread.join().unwrap();
}

#[test]
fn request_timeout_bounds_the_request() {
    let (url, thread) = server(
        |mut connection| {
            connection.head();
            connection.wait_for_end();
        },
        1,
    );
    let patient = HttpTransport::new(HttpConfig::for_uploads(1));
    let request = Request { timeout: SHORT_TIMEOUT, ..request(Method::Put, &url, Body::Empty) };
    assert_eq!(patient.send(&request), Err(TransportError::TimedOut));
    thread.join().unwrap();
}

#[test]
fn request_timeout_bounds_the_wait_for_unacknowledged_bytes() {
    let (url, thread) = server(
        |mut connection| {
            connection.head();
            connection.wait_for_end();
        },
        1,
    );
    // Between one look at what is on its way, and the second, which would find a stall.
    let timeout = SHORT_TIMEOUT * 3 / 2;
    let request = Request { timeout, ..request(Method::Put, &url, Body::Empty) };
    assert_eq!(transport().send(&request), Err(TransportError::TimedOut));
    thread.join().unwrap();
}

#[test]
fn closed_port_or_unknown_host_is_a_connect_error() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for url in [format!("http://127.0.0.1:{port}/"), "http://no-such-host.invalid/".into()] {
        let error = transport().send(&request(Method::Get, &url, Body::Empty)).unwrap_err();
        assert!(matches!(error, TransportError::Connect(_)), "{url}: {error:?}");
    }
}

#[test]
fn unreadable_content_is_distinguished_from_a_broken_connection() {
    struct Unreadable;
    impl Content for Unreadable {
        fn size(&self) -> u64 {
            10
        }
        fn crc32c(&self) -> crate::content::Crc32c {
            crate::content::Crc32c::new(0)
        }
        fn read_at(&self, _offset: u64, _buffer: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    let (url, thread) = server(Connection::wait_for_end, 1);
    let body = Body::Rest { content: &Unreadable, offset: 0, observer: &() };
    let error = transport().send(&request(Method::Put, &url, body)).unwrap_err();
    assert_eq!(error, TransportError::Content("the disk is gone".into()));
    thread.join().unwrap();
}

#[test]
fn interrupt_aborts_current_and_later_requests_except_urgent_ones() {
    let (sender, arrived) = mpsc::channel();
    let (url, thread) = server(
        move |mut connection| {
            let head = connection.head();
            sender.send(()).unwrap();
            match head.starts_with("delete") {
                true => connection.respond("HTTP/1.1 499 Closed\r\nContent-Length: 0\r\n\r\n"),
                false => connection.wait_for_end(),
            }
        },
        2,
    );
    let transport = Arc::new(HttpTransport::new(HttpConfig::for_uploads(1)));
    let waiting = std::thread::spawn({
        let (transport, url) = (transport.clone(), url.clone());
        move || transport.send(&request(Method::Put, &url, Body::Empty))
    });
    arrived.recv().unwrap();
    transport.interrupt();
    assert_eq!(waiting.join().unwrap(), Err(TransportError::Interrupted));
    let later = transport.send(&request(Method::Put, &url, Body::Empty));
    assert_eq!(later, Err(TransportError::Interrupted));
    let urgent = Request { urgent: true, ..request(Method::Delete, &url, Body::Empty) };
    assert_eq!(transport.send(&urgent).unwrap().status, 499);
    thread.join().unwrap();
}
