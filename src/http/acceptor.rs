//! The accept loop: each connection gets a thread of its own, up to a maximum.
//!
//! The loop survives every error of `accept`, and a lack of descriptors or threads. At the maximum an
//! idle connection is evicted; if there is none, the new connection gets 503.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::connection::Connection;
use super::connections::Connections;
use super::dispatch::DispatchSender;
use super::limits::Limits;
use super::log_throttle::LogThrottle;
use super::policy::{ConnectionPolicy, CutReason, Event};
use super::rejection::{Rejection, RejectionReason};
use crate::sync::LockExt;

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: i32 = 1024;

/// Stack of a connection's thread. Only the part that is touched takes memory.
const STACK_SIZE: usize = 256 << 10;

/// Pause after `accept` has failed.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(50);

/// Minimum interval between two log lines about the same failure.
const LOG_INTERVAL: Duration = Duration::from_secs(5);

/// Rejected connections that stay open for a while, and for how long: closed with a request unread,
/// a connection is reset, and its client may not see the response (RFC 9112, section 9.6).
pub(crate) const MAX_LINGERING: usize = 16;
const LINGER_TIMEOUT: Duration = Duration::from_secs(1);

/// Opens a listening socket.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Running accept loop of one listener.
pub(crate) struct Acceptor {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

struct Shared {
    listener: TcpListener,
    dispatch: DispatchSender,
    connections: Arc<Connections>,
    limits: Limits,
    closing: AtomicBool,
    lingering: Mutex<VecDeque<(Instant, TcpStream)>>,
    full: Mutex<LogThrottle>,
    failed: Mutex<LogThrottle>,
}

impl Acceptor {
    /// Starts the thread `accept`.
    ///
    /// # Errors
    /// When the thread cannot be created.
    pub(crate) fn start(
        listener: TcpListener,
        dispatch: DispatchSender,
        limits: Limits,
    ) -> io::Result<Self> {
        let policy: Arc<dyn ConnectionPolicy> = dispatch.handler().clone();
        let connections = Arc::new(Connections::new(policy));
        let shared = Arc::new(Shared {
            listener,
            dispatch,
            connections,
            limits,
            closing: AtomicBool::new(false),
            lingering: Mutex::default(),
            full: Mutex::new(LogThrottle::new(LOG_INTERVAL)),
            failed: Mutex::new(LogThrottle::new(LOG_INTERVAL)),
        });
        let accepting = Arc::clone(&shared);
        let accept = move || {
            while !accepting.closing.load(Ordering::Acquire) {
                accepting.accept();
            }
        };
        let thread = thread::Builder::new().name("accept".to_owned()).spawn(accept)?;
        Ok(Self { shared, thread })
    }

    /// Closes idle keep-alive connections. Connections that become idle later close by themselves
    /// while the server drains.
    pub(crate) fn close_keep_alive(&self) {
        self.shared.connections.close_idle_keep_alive();
    }

    /// Stops accepting, and waits for open connections to get their responses.
    pub(crate) fn close(self) {
        let Self { shared, thread } = self;
        shared.stop_accepting(thread);
        shared.connections.wait_until_closed(Instant::now() + shared.limits.shutdown_grace);
        shared.connections.close_idle();
        shared.wait_until_closed();
    }

    /// Stops accepting, and breaks all connections.
    #[cfg(feature = "emulator")]
    pub(crate) fn abort(self) {
        let Self { shared, thread } = self;
        shared.stop_accepting(thread);
        shared.connections.abort_all();
        shared.wait_until_closed();
    }
}

impl Shared {
    fn accept(self: &Arc<Self>) {
        match self.listener.accept() {
            Ok((stream, address)) => self.admit(stream, address.ip()),
            // Not an error when `stop_accepting` has shut the listener down.
            Err(_) if self.closing.load(Ordering::Acquire) => {}
            Err(error) => self.accept_failed(&error),
        }
    }

    /// Accepts the connections that are in the backlog, then shuts the listener down, which ends the
    /// thread's `accept`.
    fn stop_accepting(self: &Arc<Self>, thread: JoinHandle<()>) {
        self.closing.store(true, Ordering::Release);
        let drained = self.listener.set_nonblocking(true);
        while drained.is_ok()
            && let Ok((stream, address)) = self.listener.accept()
        {
            self.admit(stream, address.ip());
        }
        if let Err(error) = SockRef::from(&self.listener).shutdown(Shutdown::Both) {
            log::error!("cannot shut down the listener: {error}");
        }
        if thread.join().is_err() {
            log::error!("the accept thread panicked");
        }
    }

    fn wait_until_closed(&self) {
        let deadline = Instant::now() + self.limits.close_timeout;
        let open = self.connections.wait_until_closed(deadline);
        if open > 0 {
            log::warn!("{open} connections did not close in time");
        }
    }

    fn admit(self: &Arc<Self>, stream: TcpStream, peer: IpAddr) {
        self.drop_lingering();
        // A connection that was accepted while the listener stops may have inherited this.
        if stream.set_nonblocking(false).is_err() {
            return;
        }
        let max = self.limits.max_connections;
        if self.connections.count() >= max && !self.evict_one() {
            if let Some(count) = self.full.lock_ignoring_poison().record(Instant::now()) {
                log::warn!("rejected {count} connections: {max} connections are open");
            }
            self.dispatch.handler().observe(Event::ConnectionCut(CutReason::Full));
            return self.reject(stream);
        }
        let (guard, connection) = self.connections.register(stream, peer);
        let shared = Arc::clone(self);
        let own = Arc::clone(&connection);
        let serve = move || {
            // Dropped last: then the connection is closed, and another can be accepted.
            let _guard = guard;
            if let Err(error) = Connection::new(&shared.dispatch, &own, shared.limits).serve() {
                log::debug!("a connection ended: {error}");
            }
            drop(own);
        };
        let thread = thread::Builder::new().name("connection".to_owned()).stack_size(STACK_SIZE);
        if let Err(error) = thread.spawn(serve) {
            self.record_failure(&error);
            self.send_503(&connection.stream);
            // So that the next connection may get a thread.
            self.evict_one();
        }
    }

    fn evict_one(&self) -> bool {
        let Limits { min_idle_before_eviction, eviction_wait, .. } = self.limits;
        self.connections.evict_one(min_idle_before_eviction, eviction_wait)
    }

    /// Responds without reading the request, and lets the connection linger.
    fn reject(&self, stream: TcpStream) {
        self.send_503(&stream);
        let mut lingering = self.lingering.lock_ignoring_poison();
        if lingering.len() == MAX_LINGERING {
            lingering.pop_front();
        }
        lingering.push_back((Instant::now(), stream));
    }

    fn drop_lingering(&self) {
        let mut lingering = self.lingering.lock_ignoring_poison();
        lingering.retain(|(since, _)| since.elapsed() < LINGER_TIMEOUT);
    }

    /// Never blocks: the response fits into the send buffer of a new connection.
    fn send_503(&self, mut stream: &TcpStream) {
        let detail = "The server is at its connection limit.";
        let rejection = Rejection::new(RejectionReason::TooManyConnections, detail);
        let response = self.dispatch.handler().reject(&rejection);
        let mut bytes = Vec::new();
        response.write_head(true, &mut bytes);
        bytes.extend_from_slice(response.body.as_bytes());
        let sent = stream
            .set_nonblocking(true)
            .and_then(|()| stream.write_all(&bytes))
            .and_then(|()| stream.shutdown(Shutdown::Write));
        if let Err(error) = sent {
            log::debug!("cannot respond to a rejected connection: {error}");
        }
    }

    fn accept_failed(&self, error: &io::Error) {
        // For instance because the client closed the connection before it was accepted.
        if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) {
            return;
        }
        self.record_failure(error);
        if !self.evict_one() {
            self.lingering.lock_ignoring_poison().clear();
            thread::sleep(ACCEPT_RETRY_DELAY);
        }
    }

    fn record_failure(&self, error: &io::Error) {
        self.dispatch.handler().observe(Event::AcceptFailed);
        if let Some(count) = self.failed.lock_ignoring_poison().record(Instant::now()) {
            log::error!("accept failed {count} times since the last message: {error}");
        }
    }
}
