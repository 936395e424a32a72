//! One request at a time on each connection.
//!
//! tiny_http hands out pipelined requests as they come, and whoever writes an answer out of order
//! is blocked by it until the earlier ones have been written: a health check that was pipelined
//! behind an upload would hold the thread that answers everybody. So a request whose connection
//! has an unanswered one is parked, and taken up by whoever answers that one.
//!
//! tiny_http cannot be made to close a connection. One that was told that no more will be
//! answered is remembered for a while as ended, and what it still sends is let go of unanswered.
//!
//! A connection is known by its client's address. A client that opens one from the port of
//! another within a minute after that one was ended (TCP itself keeps clients from it), or while
//! an upload of that one is under way, finds itself taken for it: unanswered, or answered late.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::exchange::{Exchange, Received};

/// How many requests one connection may have parked.
const MAX_PARKED: usize = 32;

/// How long an ended connection is remembered: as long as Linux holds a port in TIME_WAIT.
const REMEMBERED: Duration = Duration::from_secs(60);

/// How many ended connections are remembered.
const MAX_ENDED: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<Connections>);

#[derive(Debug, Default)]
struct Connections {
    states: HashMap<SocketAddr, State>,
    /// Those that ended, oldest first.
    ended: VecDeque<(SocketAddr, Instant)>,
}

#[derive(Debug)]
enum State {
    /// It has an unanswered request, and these behind it.
    Busy(Waiting),
    /// What comes from it is not answered.
    Ended(Instant),
}

#[derive(Debug, Default)]
struct Waiting {
    parked: VecDeque<Received>,
    /// More came than may be parked: nothing after the last parked one will be answered.
    overflowed: bool,
}

/// What became of a request that came in.
#[derive(Debug)]
pub(super) enum Claim {
    /// It is this one's turn.
    Granted(Box<Exchange>),
    /// It will be taken up in its turn.
    Parked,
    /// It will not: its connection has ended, or has too many parked.
    Refused(Box<Received>),
}

impl Turns {
    pub(super) fn claim(self: &Arc<Self>, received: Received) -> Claim {
        let connection = received.connection();
        let mut connections = self.lock();
        match connections.states.get_mut(&connection) {
            Some(State::Busy(waiting)) => waiting.park(received),
            Some(State::Ended(at)) if at.elapsed() < REMEMBERED => {
                Claim::Refused(Box::new(received))
            }
            Some(State::Ended(_)) | None => {
                connections.states.insert(connection, State::Busy(Waiting::default()));
                let turn = Turn { connection, turns: Arc::clone(self), over: false };
                Claim::Granted(Box::new(Exchange { received, turn }))
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Connections> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn park(&mut self, received: Received) -> Claim {
        if self.parked.len() == MAX_PARKED && !self.overflowed {
            log::warn!("{} pipelines too many requests: dropping some", received.connection());
            self.overflowed = true;
        }
        if self.overflowed {
            return Claim::Refused(Box::new(received));
        }
        self.parked.push_back(received);
        Claim::Parked
    }

    /// The next parked request. The last one before an overflow is the connection's last.
    fn next(&mut self) -> Option<Received> {
        let mut received = self.parked.pop_front()?;
        received.cut |= self.overflowed && self.parked.is_empty();
        Some(received)
    }
}

impl Connections {
    /// Takes what is parked on a connection and remembers that it has ended.
    fn end(&mut self, connection: SocketAddr) -> VecDeque<Received> {
        let now = Instant::now();
        self.ended.push_back((connection, now));
        let state = self.states.insert(connection, State::Ended(now));
        self.forget_oldest();
        match state {
            Some(State::Busy(waiting)) => waiting.parked,
            Some(State::Ended(_)) | None => VecDeque::new(),
        }
    }

    fn forget_oldest(&mut self) {
        while let Some(&(oldest, at)) = self.ended.front()
            && (self.ended.len() > MAX_ENDED || at.elapsed() >= REMEMBERED)
        {
            self.ended.pop_front();
            if matches!(self.states.get(&oldest), Some(State::Ended(since)) if *since == at) {
                self.states.remove(&oldest);
            }
        }
    }
}

/// The right to answer on a connection. Dropped, it ends the connection.
#[derive(Debug)]
pub(super) struct Turn {
    connection: SocketAddr,
    turns: Arc<Turns>,
    over: bool,
}

impl Turn {
    /// Gives the turn to the next request of the connection, if one is parked.
    pub(super) fn pass(mut self) -> Option<Exchange> {
        let received = self.next_or_leave()?;
        Some(Exchange { received, turn: self })
    }

    /// Ends the connection; gives what is parked there, to be let go of.
    pub(super) fn end(mut self) -> VecDeque<Received> {
        self.over = true;
        self.turns.lock().end(self.connection)
    }

    /// The next parked request; without one, the connection has no unanswered request any more.
    /// Both under one lock, or a request that is parked in between would be forgotten.
    fn next_or_leave(&mut self) -> Option<Received> {
        let mut connections = self.turns.lock();
        let next = match connections.states.get_mut(&self.connection) {
            Some(State::Busy(waiting)) => waiting.next(),
            Some(State::Ended(_)) | None => None,
        };
        if next.is_none() {
            connections.states.remove(&self.connection);
            self.over = true;
        }
        next
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.over {
            let parked = self.turns.lock().end(self.connection);
            // After the lock is free again: letting go of a request writes to its client.
            drop(parked);
        }
    }
}
