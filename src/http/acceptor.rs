//! The listening socket, and the thread that accepts connections: each gets a thread of its own, up
//! to a number.
//!
//! It goes on whatever happens: an error of `accept`, no descriptor, no thread. When there are as
//! many connections as there may be, or no descriptors left, a connection that keeps the server
//! waiting makes room; if there is none, newcomers get a short answer that says so.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, Protocol, Socket, Type};

use crate::http::connection::{Connection, Limits};
use crate::http::connections::Visitors;
use crate::http::dispatch::{self, Relay};
use crate::http::request_id::RequestId;
use crate::server::problem::{self, Problem};
use crate::server::uploads::context::Face;

/// How many connections the kernel keeps that have not been accepted yet.
const BACKLOG: i32 = 1024;

/// The stack of a connection's thread. Only what is touched of it takes memory.
const STACK: usize = 256 << 10;

/// How long to wait after `accept` has failed.
const AFTER_FAILURE: Duration = Duration::from_millis(50);

/// How often the same trouble is logged.
const LOG_EVERY: Duration = Duration::from_secs(5);

/// How many connections that were turned away stay open until their clients know, and for how long.
pub(crate) const TURNED_AWAY: usize = 16;
const TURNED_AWAY_FOR: Duration = Duration::from_secs(1);

/// How soon a client should come back that found too many connections.
const RETRY_SECONDS: u32 = 2;

/// How long those may take to ask who have just come when all is over, and how long connections may
/// take to end.
const LAST_ORDERS: Duration = Duration::from_millis(250);
const FAREWELL: Duration = Duration::from_secs(5);

pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// What the threads behind the door share.
struct Inside {
    face: Arc<Face>,
    relay: Relay,
    limits: Limits,
}

impl Inside {
    /// Makes the streams that were not waited for, and stays with the threads that serve them.
    fn grow(&self, streams: usize) {
        if streams == 0 {
            return;
        }
        match self.relay.grow(&self.face, streams) {
            Ok(front) => join(front),
            Err(error) => log::error!("only a few requests are served at a time: {error}"),
        }
    }
}

fn join(fronts: impl IntoIterator<Item = JoinHandle<()>>) {
    for front in fronts {
        if front.join().is_err() {
            log::error!("a thread that takes requests had ended in a panic");
        }
    }
}

/// An open door.
pub(crate) struct Door {
    inside: Arc<Inside>,
    visitors: Arc<Visitors>,
    closing: Arc<AtomicBool>,
    /// Dropped, it wakes the porter.
    bell: UnixStream,
    porter: JoinHandle<()>,
    fronts: Vec<JoinHandle<()>>,
}

impl Door {
    pub(crate) fn open(listener: TcpListener, face: Arc<Face>, rules: Rules) -> io::Result<Self> {
        let uploads = face.config.workers.get().saturating_add(face.config.queue_depth);
        let streams = dispatch::streams_for(uploads, rules.max_connections);
        let relay = Relay::new();
        let first = streams.min(dispatch::AT_HAND);
        let mut fronts = Vec::from_iter(relay.grow(&face, first)?);
        let visitors = Arc::new(Visitors::new(Arc::clone(&face.metrics)));
        let inside = Arc::new(Inside { face, relay, limits: rules.limits });
        let closing = Arc::new(AtomicBool::new(false));
        let (bell, bell_end) = UnixStream::pair()?;
        let mut porter = Porter {
            listener,
            inside: Arc::clone(&inside),
            visitors: Arc::clone(&visitors),
            max_connections: rules.max_connections,
            closing: Arc::clone(&closing),
            bell: bell_end,
            turned_away: VecDeque::new(),
            full: Complaint::default(),
            failing: Complaint::default(),
        };
        let face = Arc::clone(&inside.face);
        let attend = move || while face.guarded(|| porter.attend()) == Attending::On {};
        let porter = thread::Builder::new().name("porter".to_owned()).spawn(attend)?;
        let growing = Arc::clone(&inside);
        let grow = move || growing.grow(streams - first);
        fronts.push(thread::Builder::new().name("growth".to_owned()).spawn(grow)?);
        Ok(Self { inside, visitors, closing, bell, porter, fronts })
    }

    /// Ends the connections that are kept for further requests. Those that would be kept later end
    /// by themselves while the server drains.
    pub(crate) fn keep_none_alive(&self) {
        self.visitors.send_idle_regulars_home();
    }

    /// Accepts no more, and waits for those inside to have their answers.
    pub(crate) fn close(self) {
        self.closing.store(true, Ordering::Release);
        drop(self.bell);
        if self.porter.join().is_err() {
            log::error!("the thread that accepts connections had ended in a panic");
        }
        self.visitors.wait_until_gone(Instant::now() + LAST_ORDERS);
        self.visitors.send_idle_home();
        let left = self.visitors.wait_until_gone(Instant::now() + FAREWELL);
        if left > 0 {
            log::warn!("{left} connections did not end in time");
        }
        self.inside.relay.release_fronts();
        join(self.fronts);
    }
}

/// How many connections there may be, and how long what may take on them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) max_connections: usize,
    pub(crate) limits: Limits,
}

/// The one who accepts connections.
struct Porter {
    listener: TcpListener,
    inside: Arc<Inside>,
    visitors: Arc<Visitors>,
    max_connections: usize,
    closing: Arc<AtomicBool>,
    bell: UnixStream,
    turned_away: VecDeque<(Instant, TcpStream)>,
    full: Complaint,
    failing: Complaint,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Attending {
    #[default]
    On,
    Over,
}

impl Porter {
    /// Accepts a connection, or waits for one.
    fn attend(&mut self) -> Attending {
        if self.closing.load(Ordering::Acquire) {
            self.accept_the_last();
            return Attending::Over;
        }
        self.forget_turned_away();
        match self.listener.accept() {
            Ok((stream, address)) => self.admit(stream, address.ip()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.wait(),
            Err(error) => self.accepting_failed(&error),
        }
        Attending::On
    }

    /// Those who connected before the door was closed.
    fn accept_the_last(&mut self) {
        for _ in 0..BACKLOG {
            match self.listener.accept() {
                Ok((stream, address)) => self.admit(stream, address.ip()),
                Err(_) => return,
            }
        }
    }

    /// Waits for a connection, the bell, or the time to forget somebody.
    fn wait(&self) {
        let due = self.turned_away.front().map(|(since, _)| {
            TURNED_AWAY_FOR.saturating_sub(since.elapsed()) + Duration::from_millis(1)
        });
        let timeout = due.and_then(|due| Timespec::try_from(due).ok());
        let mut awaited =
            [PollFd::new(&self.listener, PollFlags::IN), PollFd::new(&self.bell, PollFlags::IN)];
        match poll(&mut awaited, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => {
                log::error!("cannot wait for connections: {error}");
                thread::sleep(AFTER_FAILURE);
            }
        }
    }

    fn admit(&mut self, stream: TcpStream, address: IpAddr) {
        if self.visitors.count() >= self.max_connections && !self.visitors.make_room() {
            if let Some(times) = self.full.due() {
                let maximum = self.max_connections;
                log::warn!("{maximum} connections are open: turned {times} away");
            }
            self.inside.face.metrics.connection_cut("full");
            return self.turn_away(stream);
        }
        let (visit, visitor) = self.visitors.enter(stream, address);
        let inside = Arc::clone(&self.inside);
        let mine = Arc::clone(&visitor);
        let serve = move || {
            // Dropped last: then the connection is closed, and another may come.
            let _visit = visit;
            let Inside { face, relay, limits } = &*inside;
            if let Err(error) = Connection::new(face, relay, &mine, *limits).serve() {
                log::debug!("a connection ended: {error}");
            }
            drop(mine);
        };
        let thread = thread::Builder::new().name("connection".to_owned()).stack_size(STACK);
        if let Err(error) = thread.spawn(serve) {
            self.complain(&error);
            tell_to_come_again(&visitor.stream);
            // So that the next to come may have a thread.
            self.visitors.make_room();
        }
    }

    /// Answers without reading, and keeps the connection for a while: closed with a request unread,
    /// it would be reset, and the answer lost.
    fn turn_away(&mut self, stream: TcpStream) {
        tell_to_come_again(&stream);
        if self.turned_away.len() == TURNED_AWAY {
            self.turned_away.pop_front();
        }
        self.turned_away.push_back((Instant::now(), stream));
    }

    fn forget_turned_away(&mut self) {
        self.turned_away.retain(|(since, _)| since.elapsed() < TURNED_AWAY_FOR);
    }

    fn accepting_failed(&mut self, error: &io::Error) {
        // As when a client has gone before its turn came.
        if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) {
            return;
        }
        self.complain(error);
        if !self.visitors.make_room() {
            self.turned_away.clear();
            thread::sleep(AFTER_FAILURE);
        }
    }

    fn complain(&mut self, error: &io::Error) {
        self.inside.face.metrics.accepting_failed();
        if let Some(times) = self.failing.due() {
            log::error!("connections cannot be accepted ({times} since last said): {error}");
        }
    }
}

/// Of a new connection, the buffer takes it at once.
fn tell_to_come_again(mut stream: &TcpStream) {
    let id = RequestId::choose(None);
    let problem = Problem::new(&problem::TOO_MANY_CONNECTIONS, "No more can be served at a time.");
    let answer = problem.with_header("Retry-After", RETRY_SECONDS).into_answer(&id);
    let answer = answer.with_header("X-Request-Id", id.as_str()).with_header("Connection", "close");
    let told = stream
        .set_nonblocking(true)
        .and_then(|()| stream.write_all(&[&answer.head()[..], &answer.body].concat()))
        .and_then(|()| stream.shutdown(Shutdown::Write));
    if let Err(error) = told {
        log::debug!("a client that was turned away does not know: {error}");
    }
}

/// Something that may happen often, and is not said each time.
#[derive(Debug, Default)]
struct Complaint {
    last: Option<Instant>,
    times: u64,
}

impl Complaint {
    /// Counts one time more; how many there were if it is to be said.
    fn due(&mut self) -> Option<u64> {
        self.times += 1;
        let quiet = self.last.is_none_or(|last| last.elapsed() >= LOG_EVERY);
        quiet.then(|| {
            self.last = Some(Instant::now());
            std::mem::take(&mut self.times)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_trouble_is_said_once_in_a_while_with_its_count() {
        let mut complaint = Complaint::default();
        assert_eq!((complaint.due(), complaint.due(), complaint.due()), (Some(1), None, None));
        complaint.last = Instant::now().checked_sub(LOG_EVERY);
        assert_eq!(complaint.due(), Some(3));
    }
}
