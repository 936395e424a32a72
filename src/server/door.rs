//! The listening socket, and the threads that take requests from it.
//!
//! tiny_http stops accepting at the first error that `accept` returns, such as a lack of
//! descriptors, and says so once. Then another tiny_http is set up on the same socket, while
//! the connections of the old one are served on by the thread that always served them.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::panic;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use socket2::{Domain, Protocol, Socket, Type};

use super::face::Face;

/// How many connections the kernel keeps that have not been accepted yet.
const BACKLOG: i32 = 1024;

/// How long it waits before the first attempt to listen again, and at most.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// How many descriptors must be free before listening again makes sense: with fewer, the next
/// connection would end it at once.
const DESCRIPTORS_TO_SPARE: usize = 8;

/// How long a client may leave an answer unread, before the thread that writes it goes on.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    // Accepted sockets inherit it.
    socket.set_write_timeout(Some(WRITE_TIMEOUT))?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// An open door; closed, its threads end.
pub(super) struct Door {
    inside: Arc<Inside>,
    closing: Sender<()>,
}

struct Inside {
    listener: TcpListener,
    face: Arc<Face>,
    /// Disconnected when the door closes.
    closing: Receiver<()>,
    fronts: Mutex<Fronts>,
}

#[derive(Default)]
struct Fronts {
    servers: Vec<Arc<tiny_http::Server>>,
    threads: Vec<JoinHandle<()>>,
}

impl Door {
    pub(super) fn open(listener: TcpListener, face: Arc<Face>) -> io::Result<Self> {
        let (closing, closing_end) = bounded(0);
        let fronts = Mutex::default();
        let inside = Arc::new(Inside { listener, face, closing: closing_end, fronts });
        let server = inside.serve_listener()?;
        Inside::spawn(&inside, move |inside| front(&inside, &server))?;
        Ok(Self { inside, closing })
    }

    /// Takes no more requests. What was taken is none of the door's business.
    pub(super) fn close(self) {
        drop(self.closing);
        loop {
            let Fronts { servers, threads } = std::mem::take(&mut *self.inside.fronts());
            if threads.is_empty() {
                return;
            }
            servers.iter().for_each(|server| server.unblock());
            for thread in threads {
                if thread.join().is_err() {
                    log::error!("a front thread ended in a panic");
                }
            }
        }
    }
}

impl Inside {
    fn fronts(&self) -> MutexGuard<'_, Fronts> {
        self.fronts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_closing(&self) -> bool {
        self.closing.try_recv() == Err(crossbeam_channel::TryRecvError::Disconnected)
    }

    fn spawn(inside: &Arc<Self>, run: impl FnOnce(Arc<Self>) + Send + 'static) -> io::Result<()> {
        let shared = Arc::clone(inside);
        let mut fronts = inside.fronts();
        let name = format!("front-{}", fronts.threads.len() + 1);
        fronts.threads.push(thread::Builder::new().name(name).spawn(move || run(shared))?);
        Ok(())
    }

    /// Sets up a tiny_http on the listening socket.
    fn serve_listener(&self) -> io::Result<Arc<tiny_http::Server>> {
        let listener = self.listener.try_clone()?;
        // It panics where it cannot spawn its thread.
        let served = panic::catch_unwind(|| tiny_http::Server::from_listener(listener, None));
        let served = served.map_err(|_| io::Error::other("its thread could not be started"))?;
        let server = Arc::new(served.map_err(io::Error::other)?);
        self.fronts().servers.push(Arc::clone(&server));
        Ok(server)
    }

    fn has_descriptors_to_spare(&self) -> io::Result<()> {
        let clones = (0..DESCRIPTORS_TO_SPARE).map(|_| self.listener.try_clone());
        clones.collect::<io::Result<Vec<_>>>().map(drop)
    }
}

/// Takes requests from `server` for as long as the door is open.
fn front(inside: &Arc<Inside>, server: &tiny_http::Server) {
    // A door that closed while this server was set up has not unblocked it.
    while !inside.is_closing() {
        match server.recv() {
            Ok(request) => inside.face.guarded(|| inside.face.receive(request)),
            Err(_) if inside.is_closing() => return,
            Err(error) => {
                inside.face.metrics.accepting_failed();
                log::warn!("accepting connections failed: {error}; listening again");
                begin_listening_again(inside);
            }
        }
    }
}

/// Hands the waiting to a thread of its own, as there are connections to serve meanwhile.
fn begin_listening_again(inside: &Arc<Inside>) {
    while let Err(error) = Inside::spawn(inside, |inside| listen_again(&inside)) {
        log::error!("cannot start a thread to listen again: {error}; trying again");
        if closes_within(inside, LONGEST_WAIT) {
            return;
        }
    }
}

fn listen_again(inside: &Arc<Inside>) {
    let mut wait = FIRST_WAIT;
    while !closes_within(inside, wait) {
        let server = inside.has_descriptors_to_spare().and_then(|()| inside.serve_listener());
        match server {
            Ok(server) => {
                log::info!("accepting connections again");
                return front(inside, &server);
            }
            Err(error) => log::warn!("cannot listen again yet: {error}"),
        }
        wait = (2 * wait).min(LONGEST_WAIT);
    }
}

fn closes_within(inside: &Inside, wait: Duration) -> bool {
    inside.closing.recv_timeout(wait) == Err(RecvTimeoutError::Disconnected)
}
