//! One request at a time on each connection.
//!
//! tiny_http hands out pipelined requests as they come, and whoever writes an answer out of order
//! is blocked by it until the earlier ones have been written: a health check that was pipelined
//! behind an upload would hold the thread that answers everybody. So a request whose connection
//! has an unanswered one is parked, and taken up by whoever answers that one.
//!
//! A connection is known by its client's address. Should a client close a connection and open
//! another one from the same port while an upload of the first is under way, then the second
//! waits for the first: an answer that comes late, never a wrong one.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::exchange::{Exchange, Received};

/// How many requests one connection may have parked.
const MAX_PARKED: usize = 32;

/// The connections that have an unanswered request.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<HashMap<SocketAddr, Waiting>>);

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
    /// Too many of its connection are parked already.
    Refused(Box<Received>),
}

impl Turns {
    pub(super) fn claim(self: &Arc<Self>, received: Received) -> Claim {
        let connection = received.connection();
        let mut turns = self.lock();
        let Some(waiting) = turns.get_mut(&connection) else {
            turns.insert(connection, Waiting::default());
            let turn = Turn { connection, turns: Arc::clone(self), passed: false };
            return Claim::Granted(Box::new(Exchange { received, turn }));
        };
        if waiting.overflowed || waiting.parked.len() == MAX_PARKED {
            waiting.overflowed = true;
            return Claim::Refused(Box::new(received));
        }
        waiting.parked.push_back(received);
        Claim::Parked
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SocketAddr, Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to answer on a connection. Dropped, it lets go of what is parked there.
#[derive(Debug)]
pub(super) struct Turn {
    connection: SocketAddr,
    turns: Arc<Turns>,
    passed: bool,
}

impl Turn {
    /// Gives the turn to the next request of the connection, if one is parked. The last one
    /// before an overflow learns that its answer is the connection's last.
    pub(super) fn pass(mut self) -> Option<Exchange> {
        let received = self.next_or_end()?;
        Some(Exchange { received, turn: self })
    }

    /// The next parked request; without one, the connection has no unanswered request any more.
    /// Both under one lock, or a request that is parked in between would be forgotten.
    fn next_or_end(&mut self) -> Option<Received> {
        let mut turns = self.turns.lock();
        let next = turns.get_mut(&self.connection).and_then(|waiting| {
            let mut received = waiting.parked.pop_front()?;
            received.last |= waiting.overflowed && waiting.parked.is_empty();
            Some(received)
        });
        if next.is_none() {
            turns.remove(&self.connection);
            self.passed = true;
        }
        next
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.passed {
            return;
        }
        let parked = self.turns.lock().remove(&self.connection);
        // After the lock is free: to let go of a request writes to its client.
        drop(parked);
    }
}
