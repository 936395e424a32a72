//! The wire: a relay of TCP connections in front of the HTTP library.
//!
//! The library shows no socket. So every client connects to the relay, which holds a connection of
//! its own to the library for it. The relay can break a client's connection off at any byte of a
//! request or an answer, write an answer that the library would not write, and end everything that
//! is in flight when the emulator stops. It copies bytes and knows nothing of HTTP.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use socket2::SockRef;

/// Connections beyond this many are closed at once. Each takes four descriptors and three threads.
pub(super) const MAX_CONNECTIONS: usize = 200;
/// What is asked for as the size of a socket's buffer. The kernel doubles it.
pub(super) const IN_FLIGHT: usize = 32 << 10;
/// How much is copied at a time.
const COPIED: usize = 64 << 10;
/// How long a connection that was closed on our side is still listened to, so that what the client
/// was sending does not reset it before the client has read the answer.
const LINGER: Duration = Duration::from_secs(1);
/// How long a stop waits for the threads of connections that it has shut down.
const STOP_WAIT: Duration = Duration::from_secs(5);
/// The wait after an accept that failed, for instance for want of descriptors.
const ACCEPT_WAIT: Duration = Duration::from_millis(20);

/// The path of the request with which the relay begins every connection to the library.
pub(super) const GREETING: &str = "/_emulator/greeting";
/// How long the library may take to answer it.
const GREETING_WAIT: Duration = Duration::from_secs(5);

/// How a connection is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Break {
    /// TCP RST: what the client has not read yet is lost to it.
    Reset,
    /// TCP FIN: the client reads what there is, then the end.
    Close,
}

/// The relay, while it runs.
pub(super) struct Wire {
    shared: Arc<Shared>,
    addr: SocketAddr,
    acceptor: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    /// Where the HTTP library listens.
    library: SocketAddr,
    stopping: AtomicBool,
    /// By the address that the library sees the request come from.
    links: Mutex<HashMap<SocketAddr, Arc<Link>>>,
    link_ended: Condvar,
}

/// One client's connection, and the relay's own to the library.
pub(super) struct Link {
    client: TcpStream,
    library: Mutex<ToLibrary>,
    /// How much of the answer may still pass, and what happens then.
    answer_limit: Mutex<Option<(u64, Break)>>,
    /// The client's side is gone or must be let go: nothing is said on it any more.
    broken: AtomicBool,
}

/// The connection to the library, as far as the client's requests go.
struct ToLibrary {
    /// `None` once it was reset.
    stream: Option<Arc<TcpStream>>,
    /// Nothing more comes from the client.
    ended: bool,
    /// See [`Link::guard_body`].
    guarded: bool,
}

impl Wire {
    /// Relays what comes to `listener` to the library at `library`.
    pub(super) fn start(listener: TcpListener, library: SocketAddr) -> io::Result<Self> {
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared {
            library,
            stopping: AtomicBool::new(false),
            links: Mutex::default(),
            link_ended: Condvar::new(),
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

    /// The link over which the library got a request from this address.
    pub(super) fn link(&self, peer: &SocketAddr) -> Option<Arc<Link>> {
        self.shared.links().get(peer).cloned()
    }

    /// Accepts nobody any more and ends what is in flight, in bounded time. Once is enough.
    pub(super) fn stop(&self) {
        if self.shared.stopping.swap(true, Ordering::SeqCst) {
            return;
        }
        // Wakes the accept.
        drop(TcpStream::connect_timeout(&reachable(self.addr), Duration::from_secs(1)));
        let acceptor = self.acceptor.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(acceptor) = acceptor
            && acceptor.join().is_err()
        {
            log::error!("emulator: the accept thread panicked");
        }
        let mut links = self.shared.links();
        for link in links.values() {
            link.end();
        }
        while !links.is_empty() {
            let (left, waited) = self
                .shared
                .link_ended
                .wait_timeout(links, STOP_WAIT)
                .unwrap_or_else(PoisonError::into_inner);
            links = left;
            if waited.timed_out() {
                log::warn!("emulator: {} connections did not end", links.len());
                return;
            }
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn links(&self) -> MutexGuard<'_, HashMap<SocketAddr, Arc<Link>>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        while !self.stopping.load(Ordering::SeqCst) {
            let accepted = listener.accept().and_then(|(client, _)| self.connect(client));
            if let Err(error) = accepted
                && !self.stopping.load(Ordering::SeqCst)
            {
                log::warn!("emulator: a connection could not be taken: {error}");
                thread::sleep(ACCEPT_WAIT);
            }
        }
    }

    fn connect(self: &Arc<Self>, client: TcpStream) -> io::Result<()> {
        if self.stopping.load(Ordering::SeqCst) {
            return Ok(());
        }
        if self.links().len() >= MAX_CONNECTIONS {
            return Err(io::Error::other(format!("there are {MAX_CONNECTIONS} already")));
        }
        let library = TcpStream::connect(self.library)?;
        SockRef::from(&library).set_send_buffer_size(IN_FLIGHT)?;
        client.set_nodelay(true)?;
        library.set_nodelay(true)?;
        greet(&library)?;
        let name = library.local_addr()?;
        let library = Arc::new(library);
        let to_library =
            ToLibrary { stream: Some(Arc::clone(&library)), ended: false, guarded: false };
        let link = Arc::new(Link {
            client,
            library: Mutex::new(to_library),
            answer_limit: Mutex::new(None),
            broken: AtomicBool::new(false),
        });
        self.links().insert(name, Arc::clone(&link));
        let (requests_ended, ended) = channel();
        let spawned = spawn_requests(Arc::clone(&link), Arc::clone(&library), requests_ended)
            .and_then(|()| self.spawn_answers(name, link, library, ended));
        if spawned.is_err()
            && let Some(link) = self.links().remove(&name)
        {
            link.end();
        }
        spawned
    }

    fn spawn_answers(
        self: &Arc<Self>,
        name: SocketAddr,
        link: Arc<Link>,
        library: Arc<TcpStream>,
        requests_ended: Receiver<()>,
    ) -> io::Result<()> {
        let shared = Arc::clone(self);
        thread::Builder::new().name("emulator-answers".to_owned()).spawn(move || {
            link.relay_answers(&library);
            drop(library);
            link.part(&requests_ended);
            shared.links().remove(&name);
            drop(link);
            shared.link_ended.notify_all();
        })?;
        Ok(())
    }
}

/// Waits until a thread of the library has taken the connection up.
///
/// The library's pool counts a thread as idle until it has woken up. Of two connections that come
/// at once the second may be left to a thread that is taken already, and wait until some other
/// connection ends: for ever, if those stall. So the next one comes only after this one is served.
fn greet(mut library: &TcpStream) -> io::Result<()> {
    library.set_read_timeout(Some(GREETING_WAIT))?;
    write!(library, "GET {GREETING} HTTP/1.1\r\n\r\n")?;
    let mut answer = Vec::new();
    let mut buffer = [0; 512];
    // It has no body.
    while !answer.ends_with(b"\r\n\r\n") {
        match library.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => answer.extend_from_slice(&buffer[..count]),
        }
    }
    library.set_read_timeout(None)
}

fn spawn_requests(link: Arc<Link>, library: Arc<TcpStream>, ended: Sender<()>) -> io::Result<()> {
    thread::Builder::new().name("emulator-requests".to_owned()).spawn(move || {
        link.relay_requests(&library);
        drop(library);
        drop(link);
        drop(ended);
    })?;
    Ok(())
}

impl Link {
    /// Breaks the connection now.
    pub(super) fn break_off(&self, how: Break) {
        self.limit_answer(0, how);
        if how == Break::Reset {
            self.broken.store(true, Ordering::SeqCst);
            // The reset goes out when the last thread lets go of the socket.
            let lingerless = SockRef::from(&self.client).set_linger(Some(Duration::ZERO));
            self.note("reset", lingerless);
            self.note("reset", self.client.shutdown(Shutdown::Read));
        }
        self.shut_library(Shutdown::Both);
    }

    /// Keeps the end of what the client sends from the library, which at the end of an unfinished
    /// body allocates all of what is missing: its connection is reset in place of that, and there
    /// can be no answer. False if it is too late.
    pub(super) fn guard_body(&self) -> bool {
        let mut library = self.library();
        library.guarded = !library.ended;
        library.guarded
    }

    /// What is missing is little enough now.
    pub(super) fn unguard_body(&self) {
        self.library().guarded = false;
    }

    fn library(&self) -> MutexGuard<'_, ToLibrary> {
        self.library.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shut_library(&self, how: Shutdown) {
        let mut library = self.library();
        library.ended = true;
        let Some(stream) = &library.stream else { return };
        if library.guarded {
            // The reset goes out when the last thread lets go of the socket: this wakes the one
            // that waits for an answer.
            self.note("reset", SockRef::from(stream).set_linger(Some(Duration::ZERO)));
            self.note("reset", stream.shutdown(Shutdown::Read));
            library.stream = None;
        } else {
            self.note("end", stream.shutdown(how));
        }
    }

    /// Breaks the connection after this many more bytes of answers.
    pub(super) fn limit_answer(&self, bytes: u64, how: Break) {
        *self.answer_limit.lock().unwrap_or_else(PoisonError::into_inner) = Some((bytes, how));
    }

    /// Says `bytes` to the client in the library's stead, then breaks the connection.
    pub(super) fn say_and_break(&self, bytes: &[u8], how: Break) {
        self.limit_answer(0, how);
        self.note("answer", (&self.client).write_all(bytes));
        self.break_off(how);
    }

    fn end(&self) {
        self.broken.store(true, Ordering::SeqCst);
        self.note("end", self.client.shutdown(Shutdown::Both));
        self.shut_library(Shutdown::Both);
    }

    /// Clients go away whenever they like, so this is for the curious.
    fn note(&self, doing: &str, outcome: io::Result<()>) {
        if let Err(error) = outcome {
            log::trace!("emulator: {doing} on a connection: {error}");
        }
    }

    fn relay_requests(&self, mut library: &TcpStream) {
        let mut buffer = vec![0; COPIED];
        let mut heard = true;
        loop {
            match (&self.client).read(&mut buffer) {
                Ok(0) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
                // Whatever more is read would only keep the reset from going out.
                Ok(_) if self.broken.load(Ordering::SeqCst) => break,
                // Once the library listens no more, the rest is read and forgotten: closing on
                // unread bytes would reset the connection, and the answer with it.
                Ok(count) if heard => {
                    heard = library.write_all(&buffer[..count]).is_ok();
                }
                Ok(_) => {}
            }
        }
        self.shut_library(Shutdown::Write);
    }

    fn relay_answers(&self, mut library: &TcpStream) {
        let mut buffer = vec![0; COPIED];
        loop {
            let count = match library.read(&mut buffer) {
                Ok(0) => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return,
                Ok(count) => count,
            };
            let (passing, limit) = self.pass(count);
            let said = (&self.client).write_all(&buffer[..passing]);
            if let Some(how) = limit {
                return self.break_off(how);
            }
            if said.is_err() {
                return self.shut_library(Shutdown::Both);
            }
        }
    }

    /// How many of `count` bytes of an answer may pass, and what happens after them.
    fn pass(&self, count: usize) -> (usize, Option<Break>) {
        let mut limit = self.answer_limit.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *limit {
            None => (count, None),
            Some((left, how)) => {
                let passing = count.min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= passing as u64;
                (passing, (*left == 0).then_some(*how))
            }
        }
    }

    /// Ends the client's connection once there will be no more answers.
    fn part(&self, requests_ended: &Receiver<()>) {
        if !self.broken.load(Ordering::SeqCst) {
            self.note("close", self.client.shutdown(Shutdown::Write));
            // The sender is only ever dropped: its thread has ended, or the time is over.
            if requests_ended.recv_timeout(LINGER).is_err() {
                self.note("close", self.client.shutdown(Shutdown::Read));
            }
        }
        self.shut_library(Shutdown::Both);
    }
}

/// An address at which a listener on `addr` can be reached from this machine.
pub(super) fn reachable(addr: SocketAddr) -> SocketAddr {
    let ip = match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, addr.port())
}
