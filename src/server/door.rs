//! The listening socket, and the threads that take requests from it.
//!
//! A few threads take turns at waiting for the next request and answering it, so that a client
//! who does not read its answer holds up one of them, for a bounded time, and nobody else.
//!
//! tiny_http stops accepting at the first error that `accept` returns, and says so once, or it
//! panics when descriptors or threads run out at the wrong moment, and says nothing. Then another
//! tiny_http is set up on the same socket, while one thread goes on serving the connections of
//! the old one.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded};
use socket2::{Domain, Protocol, Socket, Type};

use super::face::Face;
use super::gate::Gate;

/// How many connections the kernel keeps that have not been accepted yet.
const BACKLOG: i32 = 1024;

/// How long it waits before the first attempt to listen again, and at most.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// How many descriptors must be free before listening again makes sense: with fewer, the next
/// connection would end it at once.
const DESCRIPTORS_TO_SPARE: usize = 8;

/// How long nothing of an answer may go out because the client does not read, before it is given
/// up. A first answer always fits into the socket's buffer: this one is behind many unread.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);

/// How often it is seen whether connections are still accepted.
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// How many threads take requests from one tiny_http.
const FRONTS: usize = 4;

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
    gates: Vec<Arc<Gate>>,
    threads: Vec<JoinHandle<()>>,
}

impl Door {
    pub(super) fn open(listener: TcpListener, face: Arc<Face>) -> io::Result<Self> {
        let (closing, closing_end) = bounded(0);
        let fronts = Mutex::default();
        let inside = Arc::new(Inside { listener, face, closing: closing_end, fronts });
        let gate = inside.open_gate()?;
        for _ in 0..FRONTS {
            let gate = Arc::clone(&gate);
            Inside::spawn(&inside, move |inside| front(inside, &gate))?;
        }
        Inside::spawn(&inside, watch)?;
        Ok(Self { inside, closing })
    }

    /// Takes no more requests. What was taken is none of the door's business.
    pub(super) fn close(self) {
        drop(self.closing);
        // A gate may be opened once more in the meantime.
        loop {
            let Fronts { gates, threads } = std::mem::take(&mut *self.inside.fronts());
            if threads.is_empty() {
                return;
            }
            gates.iter().for_each(|gate| gate.unblock(FRONTS));
            for thread in threads {
                if thread.join().is_err() {
                    log::error!("a thread that takes requests had ended in a panic");
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
        self.closing.try_recv() == Err(TryRecvError::Disconnected)
    }

    /// Whether the door closes before this time is over, or has closed.
    fn closes_within(&self, wait: Duration) -> bool {
        self.closing.recv_timeout(wait) == Err(RecvTimeoutError::Disconnected)
    }

    fn spawn(inside: &Arc<Self>, run: impl FnOnce(&Arc<Self>) + Send + 'static) -> io::Result<()> {
        let shared = Arc::clone(inside);
        let mut fronts = inside.fronts();
        let name = format!("front-{}", fronts.threads.len() + 1);
        fronts.threads.push(thread::Builder::new().name(name).spawn(move || run(&shared))?);
        Ok(())
    }

    /// Sets up a tiny_http on the listening socket.
    fn open_gate(&self) -> io::Result<Arc<Gate>> {
        let gate = Arc::new(Gate::open(self.listener.try_clone()?)?);
        self.fronts().gates.push(Arc::clone(&gate));
        Ok(gate)
    }

    fn has_descriptors_to_spare(&self) -> io::Result<()> {
        let clones = (0..DESCRIPTORS_TO_SPARE).map(|_| self.listener.try_clone());
        clones.collect::<io::Result<Vec<_>>>().map(drop)
    }
}

/// Takes requests from `gate` until the door closes, and those that had come by then.
fn front(inside: &Arc<Inside>, gate: &Gate) {
    // A door that closed while this gate was set up has not unblocked it.
    if inside.is_closing() {
        return;
    }
    gate.arrive();
    loop {
        match gate.next(&inside.face) {
            Ok(exchange) => inside.face.guarded(|| inside.face.serve_all(exchange)),
            Err(_) if inside.is_closing() => return,
            Err(error) => {
                replace(inside, gate, &error);
                if gate.may_leave() {
                    return;
                }
            }
        }
    }
}

/// Notices gates that accept no more and did not say so.
fn watch(inside: &Arc<Inside>) {
    while !inside.closes_within(WATCH_EVERY) {
        let gates = inside.fronts().gates.clone();
        for gate in gates.iter().filter(|gate| gate.is_deaf()) {
            replace(inside, gate, &"the thread that did it is gone");
        }
    }
}

/// Retires a gate and listens anew, unless that was done before.
fn replace(inside: &Arc<Inside>, gate: &Gate, reason: &dyn fmt::Display) {
    if gate.retire() {
        log::warn!("connections are not accepted any more: {reason}; listening again");
        inside.face.metrics.accepting_failed();
        begin_listening_again(inside);
        gate.unblock(FRONTS - 1);
    }
}

/// Hands the waiting to a thread of its own, as there are connections to serve meanwhile.
fn begin_listening_again(inside: &Arc<Inside>) {
    while let Err(error) = Inside::spawn(inside, listen_again) {
        log::error!("cannot start a thread to listen again: {error}; trying again");
        if inside.closes_within(LONGEST_WAIT) {
            return;
        }
    }
}

fn listen_again(inside: &Arc<Inside>) {
    let mut wait = FIRST_WAIT;
    while !inside.closes_within(wait) {
        match inside.has_descriptors_to_spare().and_then(|()| inside.open_gate()) {
            Ok(gate) => {
                log::info!("accepting connections again");
                return serve_again(inside, &gate);
            }
            Err(error) => log::warn!("cannot listen again yet: {error}"),
        }
        wait = (2 * wait).min(LONGEST_WAIT);
    }
}

/// Serves a new gate with this thread, and others as far as they can be had.
fn serve_again(inside: &Arc<Inside>, gate: &Arc<Gate>) {
    for _ in 1..FRONTS {
        let its = Arc::clone(gate);
        if let Err(error) = Inside::spawn(inside, move |inside| front(inside, &its)) {
            log::warn!("serving with fewer threads than usual: {error}");
        }
    }
    front(inside, gate);
}
