//! Dispatch of requests through tiny_http's accept loop.
//!
//! tiny_http hands requests to the handler in one loop, as a server that it listens for would do. It
//! stands behind the connection layer, because it bounds neither a head nor a wait and aborts the
//! process when a client announces a body larger than memory: it gets valid heads only, without bodies.
//!
//! All heads go over one stream to it. Responses do not come back that way: each connection waits on
//! a channel of its own. A request carries a random key, under which its body and its channel wait;
//! one whose key is not known is dropped. The listening socket is shut down once the stream is
//! connected, so no other local process can connect, and nothing can make accepting fail.
//!
//! If tiny_http's thread ends, the stream does too: every waiting request gets 500, and the server
//! ends with an error ([`Dispatcher::failure`]).

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use socket2::SockRef;

use super::body::Body;
use super::connections::ConnectionHandle;
use super::handler::Handler;
use super::policy::Event;
use super::request::{Reply, Request};
use super::request_head::KEY_HEADER;
use crate::sync::LockExt;

/// Time for tiny_http to start.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// Dispatcher of all requests of a process to their handlers.
pub(crate) struct Dispatcher {
    shared: Arc<Shared>,
    failure: Receiver<()>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    server: &'static tiny_http::Server,
    /// This end of the stream. A head is written as a whole while `writing` is locked.
    stream: UnixStream,
    writing: Mutex<()>,
    /// `None` once tiny_http has ended.
    pending: Mutex<Option<HashMap<u64, Pending>>>,
    stopping: AtomicBool,
}

/// Part of a request that does not go through tiny_http.
struct Pending {
    handler: Arc<dyn Handler>,
    connection: Arc<ConnectionHandle>,
    body: Option<Body>,
    reply: Sender<Reply>,
}

/// Sends requests to the dispatcher, for one listener's handler.
#[derive(Clone)]
pub(crate) struct DispatchSender {
    shared: Arc<Shared>,
    handler: Arc<dyn Handler>,
}

impl Dispatcher {
    /// Descriptors that a dispatcher holds: both ends of the stream, and the copies and the listener of
    /// tiny_http.
    pub(crate) const DESCRIPTORS: usize = 6;

    /// Starts tiny_http, and the threads `dispatch` and `dispatch-watch`.
    ///
    /// # Errors
    /// When a socket or a thread cannot be created.
    pub(crate) fn start() -> io::Result<Self> {
        let (server, stream) = connect()?;
        let shared = Arc::new(Shared {
            server,
            stream,
            writing: Mutex::default(),
            pending: Mutex::new(Some(HashMap::new())),
            stopping: AtomicBool::new(false),
        });
        let (failed, failure) = bounded(1);
        let (dispatching, watching) = (Arc::clone(&shared), Arc::clone(&shared));
        let dispatch = move || dispatching.dispatch();
        let watch = move || watching.watch(&failed);
        let threads = vec![
            thread::Builder::new().name("dispatch".to_owned()).spawn(dispatch)?,
            thread::Builder::new().name("dispatch-watch".to_owned()).spawn(watch)?,
        ];
        Ok(Self { shared, failure, threads })
    }

    /// Returns a sender of requests to `handler`.
    pub(crate) fn sender(&self, handler: Arc<dyn Handler>) -> DispatchSender {
        DispatchSender { shared: Arc::clone(&self.shared), handler }
    }

    /// Returns a channel that gets a message if tiny_http ends before [`stop`](Self::stop).
    pub(crate) fn failure(&self) -> &Receiver<()> {
        &self.failure
    }

    /// Ends the threads. Requests that are still pending get 500.
    pub(crate) fn stop(self) {
        self.shared.stopping.store(true, Ordering::Release);
        self.shared.server.unblock();
        if let Err(error) = self.shared.stream.shutdown(Shutdown::Both) {
            log::debug!("cannot shut down the dispatch stream: {error}");
        }
        for thread in self.threads {
            if thread.join().is_err() {
                log::error!("a dispatch thread panicked");
            }
        }
    }
}

impl DispatchSender {
    /// Returns the handler that gets the requests.
    pub(crate) fn handler(&self) -> &Arc<dyn Handler> {
        &self.handler
    }

    /// Dispatches a request whose `head` lacks the empty line at its end. The reply comes on the
    /// channel, which is disconnected if there is none.
    ///
    /// # Errors
    /// When tiny_http has ended.
    pub(crate) fn dispatch(
        &self,
        head: &mut Vec<u8>,
        connection: &Arc<ConnectionHandle>,
        body: Option<Body>,
    ) -> io::Result<Receiver<Reply>> {
        let (reply, receiver) = bounded(1);
        let (handler, connection) = (Arc::clone(&self.handler), Arc::clone(connection));
        let key = rand::random();
        self.shared.insert(key, Pending { handler, connection, body, reply })?;
        write!(head, "{KEY_HEADER}: {key:016x}\r\n\r\n")?;
        let _writing = self.shared.writing.lock_ignoring_poison();
        (&self.shared.stream).write_all(head)?;
        Ok(receiver)
    }
}

impl Shared {
    fn insert(&self, key: u64, request: Pending) -> io::Result<()> {
        let mut pending = self.pending.lock_ignoring_poison();
        let pending = pending.as_mut().ok_or_else(|| io::Error::other("tiny_http has ended"))?;
        pending.insert(key, request);
        Ok(())
    }

    /// Removes the pending part of a request by its key.
    fn remove(&self, head: &tiny_http::Request) -> Option<Pending> {
        let key = key_of(head)?;
        self.pending.lock_ignoring_poison().as_mut()?.remove(&key)
    }

    /// tiny_http's accept loop.
    fn dispatch(&self) {
        while let Ok(head) = self.server.recv() {
            let Some(Pending { handler, connection, body, reply }) = self.remove(&head) else {
                log::error!("dropped a request with an unknown key");
                drop(head.into_writer());
                continue;
            };
            let request = Request::new(head, connection, body, reply);
            let handled = panic::catch_unwind(AssertUnwindSafe(|| handler.handle(request)));
            if handled.is_err() {
                log::error!("caught a panic while a request was handled");
                handler.observe(Event::HandlerPanicked);
            }
        }
    }

    /// Waits for the end of tiny_http's side of the stream. It sends nothing before that.
    fn watch(&self, failed: &Sender<()>) {
        let ended = (&self.stream).read(&mut [0; 512]);
        // Their senders go with them: the connections that wait respond with 500.
        self.pending.lock_ignoring_poison().take();
        if !self.stopping.load(Ordering::Acquire) {
            log::error!("tiny_http ended unexpectedly ({ended:?}): requests cannot be dispatched");
            let _ = failed.try_send(());
        }
    }
}

fn key_of(head: &tiny_http::Request) -> Option<u64> {
    let key = head.headers().iter().rfind(|header| header.field.equiv(KEY_HEADER))?;
    u64::from_str_radix(key.value.as_str(), 16).ok()
}

/// Starts tiny_http with one stream to it.
fn connect() -> io::Result<(&'static tiny_http::Server, UnixStream)> {
    // In the abstract namespace, so that no file system needs to be writable.
    let name = format!("{:032x}", rand::random::<u128>());
    let address = SocketAddr::from_abstract_name(name)?;
    let listener = UnixListener::bind_addr(&address)?;
    let handle = listener.try_clone()?;
    let server = tiny_http::Server::from_listener(listener, None).map_err(io::Error::other)?;
    // Its destructor looks for a path that an abstract address does not have, and panics.
    let server: &'static tiny_http::Server = Box::leak(Box::new(server));
    let mut stream = UnixStream::connect_addr(&address)?;
    // One request goes through before the listener is shut down, which would drop a connection that
    // tiny_http has not accepted yet.
    write!(stream, "GET / HTTP/1.1\r\n\r\n")?;
    let Some(first) = server.recv_timeout(START_TIMEOUT)? else {
        return Err(io::Error::other("tiny_http did not accept its stream in time"));
    };
    drop(first.into_writer());
    SockRef::from(&handle).shutdown(Shutdown::Both)?;
    // The accept thread reports its end as an error.
    match server.recv_timeout(START_TIMEOUT) {
        Err(_) => Ok((server, stream)),
        Ok(_) => Err(io::Error::other("tiny_http did not stop accepting connections in time")),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::io::ErrorKind;

    use proptest::prelude::*;

    use super::super::policy::{ForwardedHeaders, HeadPolicy};
    use super::super::request_head;
    use super::*;

    struct AcceptAll;

    impl HeadPolicy for AcceptAll {
        fn accepts_body(&self, _: &str, _: &str) -> bool {
            true
        }

        fn forwarded_headers(&self) -> ForwardedHeaders {
            ForwardedHeaders::All
        }
    }

    proptest! {
        #[test]
        fn tiny_http_understands_every_head_that_is_forwarded(
            method in "[!-~]{1,9}",
            target in "[!-~]{1,30}",
            lines in prop::collection::vec(
                "(Host|User-Agent|X-Request-Id|X-Request-Key|Expect|Connection|Authorization|[!-~]{1,9}):[ -~\t]{0,20}",
                0..6,
            ),
        ) {
            thread_local! {
                static TINY_HTTP: RefCell<(&'static tiny_http::Server, UnixStream)> =
                    RefCell::new(connect().unwrap());
            }
            let text = format!("{method} {target} HTTP/1.1\r\nHost: h\r\n{}\r\n\r\n", lines.join("\r\n"));
            let mut forwarded = Vec::new();
            if let Ok(Some(_)) = request_head::read(text.as_bytes(), &AcceptAll, &mut forwarded) {
                write!(forwarded, "{KEY_HEADER}: {:016x}\r\n\r\n", 7).unwrap();
                TINY_HTTP.with_borrow_mut(|(server, stream)| {
                    stream.write_all(&forwarded).unwrap();
                    let request = server.recv_timeout(START_TIMEOUT).unwrap().expect("a request");
                    assert_eq!(key_of(&request), Some(7));
                    assert_eq!(request.method().as_str(), method);
                    assert_eq!(request.url(), target);
                    request.into_writer();
                });
            }
        }
    }

    #[test]
    fn no_other_process_can_connect() {
        let (_, stream) = connect().unwrap();
        let address = stream.peer_addr().unwrap();
        assert!(address.as_abstract_name().is_some_and(|name| name.len() == 32));
        let refused = UnixStream::connect_addr(&address).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    }

    #[test]
    fn end_of_tiny_http_is_a_failure() {
        let dispatcher = Dispatcher::start().unwrap();
        // tiny_http's thread ends on a head that is not HTTP.
        (&dispatcher.shared.stream).write_all(b"\r\n").unwrap();
        dispatcher.failure().recv_timeout(START_TIMEOUT).unwrap();
        assert!(dispatcher.shared.pending.lock_ignoring_poison().is_none());
        dispatcher.stop();
    }

    #[test]
    fn stop_is_not_a_failure() {
        let dispatcher = Dispatcher::start().unwrap();
        let failure = dispatcher.failure().clone();
        dispatcher.stop();
        assert!(failure.try_recv().is_err());
    }

    #[test]
    fn head_without_a_known_key_is_dropped() {
        let dispatcher = Dispatcher::start().unwrap();
        for head in ["", "X-Request-Key: 7\r\n", "X-Request-Key: x\r\n"] {
            write!(&dispatcher.shared.stream, "GET / HTTP/1.1\r\n{head}\r\n").unwrap();
        }
        assert!(dispatcher.failure().recv_timeout(Duration::from_millis(50)).is_err());
        dispatcher.stop();
    }
}
