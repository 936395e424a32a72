//! A TCP relay in front of tiny_http.
//!
//! tiny_http does not expose its sockets. So clients connect to the relay, which opens a connection to
//! tiny_http for each of them. The relay can break a client's connection at any byte of a request or
//! a response, send a response that tiny_http would not send, and end all connections when the
//! emulator shuts down. It copies bytes and knows nothing about HTTP.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use socket2::SockRef;

use crate::sync::{CondvarExt, LockExt};

/// The connection limit. Each connection costs four descriptors and three threads.
pub(super) const MAX_CONNECTIONS: usize = 200;
/// The requested size of socket buffers. The kernel doubles it.
pub(super) const SOCKET_BUFFER_SIZE: usize = 32 << 10;
/// The size of the copy buffer.
const COPY_SIZE: usize = 64 << 10;
/// Time to keep reading after our side of a connection was closed. Otherwise data in flight from the
/// client would reset the connection before the client has read the response.
const LINGER_TIMEOUT: Duration = Duration::from_secs(1);
/// Time to wait at shutdown for the threads of connections.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// The wait after a failed accept, for instance because no descriptors are left.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(20);

/// The path of the first request that the relay sends on each connection to tiny_http.
pub(super) const PROBE_PATH: &str = "/_emulator/greeting";
/// Time limit for the response to the probe.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// How a connection is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Break {
    /// TCP RST: data that the client has not read yet is lost.
    Reset,
    /// TCP FIN: the client can read all data that was sent, and then the end.
    Close,
}

/// A running relay. Stops on drop.
pub(super) struct Relay {
    shared: Arc<Shared>,
    addr: SocketAddr,
    acceptor: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    /// The address of tiny_http.
    upstream: SocketAddr,
    stopping: AtomicBool,
    /// Keyed by the relay's own address, which is the peer address that tiny_http sees.
    connections: Mutex<HashMap<SocketAddr, Arc<Connection>>>,
    connection_ended: Condvar,
}

/// A client's connection, and the relay's connection to tiny_http for it.
pub(super) struct Connection {
    client: TcpStream,
    upstream: Mutex<Upstream>,
    /// The number of response bytes to relay, and how to break the connection after them.
    response_limit: Mutex<Option<(u64, Break)>>,
    /// True once nothing more may be sent to the client.
    broken: AtomicBool,
}

/// The request side of the connection to tiny_http.
struct Upstream {
    /// `None` after a reset.
    stream: Option<Arc<TcpStream>>,
    /// True once nothing more is sent.
    ended: bool,
    /// See [`Connection::guard_body`].
    guarded: bool,
}

impl Relay {
    /// Starts to relay connections from `listener` to tiny_http at `upstream`.
    pub(super) fn start(listener: TcpListener, upstream: SocketAddr) -> io::Result<Self> {
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared {
            upstream,
            stopping: AtomicBool::new(false),
            connections: Mutex::default(),
            connection_ended: Condvar::new(),
        });
        let acceptor = thread::Builder::new().name("emulator-accept".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || shared.accept(&listener)
        })?;
        Ok(Self { shared, addr, acceptor: Mutex::new(Some(acceptor)) })
    }

    pub(super) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Returns the connection whose requests tiny_http receives from this peer address.
    pub(super) fn connection(&self, peer: &SocketAddr) -> Option<Arc<Connection>> {
        self.shared.connections().get(peer).cloned()
    }

    /// Stops accepting, and ends all connections, in bounded time. Later calls do nothing.
    pub(super) fn stop(&self) {
        if self.shared.stopping.swap(true, Ordering::SeqCst) {
            return;
        }
        // Wakes the accept thread.
        drop(TcpStream::connect_timeout(&reachable(self.addr), Duration::from_secs(1)));
        let acceptor = self.acceptor.lock_ignoring_poison().take();
        if let Some(acceptor) = acceptor
            && acceptor.join().is_err()
        {
            log::error!("emulator: accept thread panicked");
        }
        let connections = self.shared.connections();
        for connection in connections.values() {
            connection.shutdown();
        }
        let ended = &self.shared.connection_ended;
        let connections =
            ended.wait_timeout_while_ignoring_poison(connections, STOP_TIMEOUT, |connections| {
                !connections.is_empty()
            });
        if !connections.is_empty() {
            log::warn!("emulator: {} connections did not end", connections.len());
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn connections(&self) -> MutexGuard<'_, HashMap<SocketAddr, Arc<Connection>>> {
        self.connections.lock_ignoring_poison()
    }

    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        while !self.stopping.load(Ordering::SeqCst) {
            let accepted = listener.accept().and_then(|(client, _)| self.connect(client));
            if let Err(error) = accepted
                && !self.stopping.load(Ordering::SeqCst)
            {
                log::warn!("emulator: accept failed: {error}");
                thread::sleep(ACCEPT_BACKOFF);
            }
        }
    }

    fn connect(self: &Arc<Self>, client: TcpStream) -> io::Result<()> {
        if self.stopping.load(Ordering::SeqCst) {
            return Ok(());
        }
        if self.connections().len() >= MAX_CONNECTIONS {
            return Err(io::Error::other(format!(
                "the limit of {MAX_CONNECTIONS} connections is reached"
            )));
        }
        let upstream = TcpStream::connect(self.upstream)?;
        SockRef::from(&upstream).set_send_buffer_size(SOCKET_BUFFER_SIZE)?;
        client.set_nodelay(true)?;
        upstream.set_nodelay(true)?;
        probe(&upstream)?;
        let name = upstream.local_addr()?;
        let upstream = Arc::new(upstream);
        let upstream_state =
            Upstream { stream: Some(Arc::clone(&upstream)), ended: false, guarded: false };
        let connection = Arc::new(Connection {
            client,
            upstream: Mutex::new(upstream_state),
            response_limit: Mutex::new(None),
            broken: AtomicBool::new(false),
        });
        self.connections().insert(name, Arc::clone(&connection));
        let (requests_ended, ended) = channel();
        let spawned =
            spawn_request_thread(Arc::clone(&connection), Arc::clone(&upstream), requests_ended)
                .and_then(|()| self.spawn_response_thread(name, connection, upstream, ended));
        if spawned.is_err()
            && let Some(connection) = self.connections().remove(&name)
        {
            connection.shutdown();
        }
        spawned
    }

    fn spawn_response_thread(
        self: &Arc<Self>,
        name: SocketAddr,
        connection: Arc<Connection>,
        upstream: Arc<TcpStream>,
        requests_ended: Receiver<()>,
    ) -> io::Result<()> {
        let shared = Arc::clone(self);
        thread::Builder::new().name("emulator-responses".to_owned()).spawn(move || {
            connection.relay_responses(&upstream);
            drop(upstream);
            connection.close(&requests_ended);
            shared.connections().remove(&name);
            drop(connection);
            shared.connection_ended.notify_all();
        })?;
        Ok(())
    }
}

/// Waits until a tiny_http thread serves the connection.
///
/// tiny_http's pool counts a thread as idle until it has woken up. The second of two simultaneous
/// connections may be assigned to a thread that is already taken, and then waits until another
/// connection ends: forever, if those stall. So the next connection is opened only after this one is
/// served.
fn probe(mut upstream: &TcpStream) -> io::Result<()> {
    upstream.set_read_timeout(Some(PROBE_TIMEOUT))?;
    write!(upstream, "GET {PROBE_PATH} HTTP/1.1\r\n\r\n")?;
    let mut response = Vec::new();
    let mut buffer = [0; 512];
    // The response has no body.
    while !response.ends_with(b"\r\n\r\n") {
        match upstream.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => response.extend_from_slice(&buffer[..count]),
        }
    }
    upstream.set_read_timeout(None)
}

fn spawn_request_thread(
    connection: Arc<Connection>,
    upstream: Arc<TcpStream>,
    ended: Sender<()>,
) -> io::Result<()> {
    thread::Builder::new().name("emulator-requests".to_owned()).spawn(move || {
        connection.relay_requests(&upstream);
        drop(upstream);
        drop(connection);
        drop(ended);
    })?;
    Ok(())
}

impl Connection {
    /// Breaks the connection now.
    pub(super) fn break_off(&self, how: Break) {
        self.limit_response(0, how);
        if how == Break::Reset {
            self.broken.store(true, Ordering::SeqCst);
            // The reset is sent when the last thread drops the socket.
            let lingerless = SockRef::from(&self.client).set_linger(Some(Duration::ZERO));
            trace_error("reset", lingerless);
            trace_error("reset", self.client.shutdown(Shutdown::Read));
        }
        self.shut_upstream(Shutdown::Both);
    }

    /// Hides the end of an incomplete body from tiny_http, which would allocate a buffer as large as
    /// the missing rest. Its connection is reset instead, so there can be no response. Returns false
    /// if it is too late.
    pub(super) fn guard_body(&self) -> bool {
        let mut upstream = self.upstream();
        upstream.guarded = !upstream.ended;
        upstream.guarded
    }

    /// Ends [`guard_body`](Self::guard_body), once the missing rest is small enough.
    pub(super) fn unguard_body(&self) {
        self.upstream().guarded = false;
    }

    fn upstream(&self) -> MutexGuard<'_, Upstream> {
        self.upstream.lock_ignoring_poison()
    }

    fn shut_upstream(&self, how: Shutdown) {
        let mut upstream = self.upstream();
        upstream.ended = true;
        let Some(stream) = &upstream.stream else { return };
        if upstream.guarded {
            // The reset is sent when the last thread drops the socket. The shutdown wakes the thread
            // that waits for a response.
            trace_error("reset", SockRef::from(stream).set_linger(Some(Duration::ZERO)));
            trace_error("reset", stream.shutdown(Shutdown::Read));
            upstream.stream = None;
        } else {
            trace_error("end", stream.shutdown(how));
        }
    }

    /// Breaks the connection after this many more response bytes.
    pub(super) fn limit_response(&self, bytes: u64, how: Break) {
        *self.response_limit.lock_ignoring_poison() = Some((bytes, how));
    }

    /// Sends `bytes` to the client, past tiny_http, and breaks the connection.
    pub(super) fn write_and_break(&self, bytes: &[u8], how: Break) {
        self.limit_response(0, how);
        trace_error("write", (&self.client).write_all(bytes));
        self.break_off(how);
    }

    fn shutdown(&self) {
        self.broken.store(true, Ordering::SeqCst);
        trace_error("end", self.client.shutdown(Shutdown::Both));
        self.shut_upstream(Shutdown::Both);
    }

    fn relay_requests(&self, mut upstream: &TcpStream) {
        let mut buffer = vec![0; COPY_SIZE];
        let mut upstream_open = true;
        loop {
            match (&self.client).read(&mut buffer) {
                Ok(0) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
                // Reading on would only delay the reset.
                Ok(_) if self.broken.load(Ordering::SeqCst) => break,
                // Once tiny_http has closed its side, the rest is read and discarded. Closing a socket
                // with unread data resets the connection, and the response would be lost.
                Ok(count) if upstream_open => {
                    upstream_open = upstream.write_all(&buffer[..count]).is_ok();
                }
                Ok(_) => {}
            }
        }
        self.shut_upstream(Shutdown::Write);
    }

    fn relay_responses(&self, mut upstream: &TcpStream) {
        let mut buffer = vec![0; COPY_SIZE];
        loop {
            let count = match upstream.read(&mut buffer) {
                Ok(0) => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return,
                Ok(count) => count,
            };
            let (allowed, limit) = self.allow(count);
            let written = (&self.client).write_all(&buffer[..allowed]);
            if let Some(how) = limit {
                return self.break_off(how);
            }
            if written.is_err() {
                return self.shut_upstream(Shutdown::Both);
            }
        }
    }

    /// Returns how many of `count` response bytes to relay, and how to break the connection after
    /// them.
    fn allow(&self, count: usize) -> (usize, Option<Break>) {
        let mut limit = self.response_limit.lock_ignoring_poison();
        match &mut *limit {
            None => (count, None),
            Some((left, how)) => {
                let allowed = count.min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= allowed as u64;
                (allowed, (*left == 0).then_some(*how))
            }
        }
    }

    /// Closes the client's connection after the last response.
    fn close(&self, requests_ended: &Receiver<()>) {
        if !self.broken.load(Ordering::SeqCst) {
            trace_error("close", self.client.shutdown(Shutdown::Write));
            // The sender never sends. It is dropped when its thread ends.
            if requests_ended.recv_timeout(LINGER_TIMEOUT).is_err() {
                trace_error("close", self.client.shutdown(Shutdown::Read));
            }
        }
        self.shut_upstream(Shutdown::Both);
    }
}

/// Returns the address at which a listener on `addr` is reachable from this machine.
///
/// An unspecified address (0.0.0.0) becomes the loopback address.
pub(super) fn reachable(addr: SocketAddr) -> SocketAddr {
    let ip = match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, addr.port())
}

/// Logs an error at `trace` only: clients may disconnect at any time.
fn trace_error(operation: &str, result: io::Result<()>) {
    if let Err(error) = result {
        log::trace!("emulator: {operation} on a connection: {error}");
    }
}
