//! Who is connected, and what each is doing: so that their number is bounded, room can be made for
//! newcomers, and all can be sent home at the end.

use std::collections::HashMap;
use std::net::{IpAddr, Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::telemetry::Metrics;

/// How long a client may keep a connection waiting when others need its place.
const TOLERATED: Duration = Duration::from_millis(500);

/// How long it may take until a connection that was told to end has ended.
const ENDING: Duration = Duration::from_millis(100);

/// A client's connection, as others than its own thread see it.
#[derive(Debug)]
pub(crate) struct Visitor {
    pub(crate) stream: TcpStream,
    pub(crate) address: IpAddr,
    state: Mutex<State>,
}

/// What happens on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doing {
    /// The client has sent nothing of a request.
    Idle,
    /// It is sending one.
    Sending,
    /// It waits for the answer, or takes it.
    Served,
    /// It has had the last answer.
    Leaving,
}

#[derive(Debug)]
struct State {
    doing: Doing,
    since: Instant,
    /// It has had an answer before.
    regular: bool,
}

impl Visitor {
    fn new(stream: TcpStream, address: IpAddr) -> Self {
        let state = State { doing: Doing::Idle, since: Instant::now(), regular: false };
        Self { stream, address, state: Mutex::new(state) }
    }

    /// Its own thread tells what happens from now on.
    pub(crate) fn set(&self, doing: Doing) {
        let mut state = self.lock();
        if state.doing != doing {
            state.regular |= state.doing == Doing::Served;
            (state.doing, state.since) = (doing, Instant::now());
        }
    }

    /// Whether it has had an answer.
    pub(crate) fn is_regular(&self) -> bool {
        self.lock().regular
    }

    fn is_idle(&self) -> bool {
        self.lock().doing == Doing::Idle
    }

    /// How soon its place goes to another: the least first, and `None` not at all.
    fn dispensable(&self) -> Option<(bool, Instant)> {
        let state = self.lock();
        let waits = state.doing != Doing::Served && state.since.elapsed() >= TOLERATED;
        waits.then_some((state.regular, state.since))
    }

    /// Makes its thread find the end of what the client sends. An answer is still written.
    fn send_home(&self) {
        if let Err(error) = self.stream.shutdown(Shutdown::Read) {
            // As when the client has gone in the meantime.
            log::debug!("a connection could not be told to end: {error}");
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All that are connected.
#[derive(Debug)]
pub(crate) struct Visitors {
    present: Mutex<Present>,
    left: Condvar,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct Present {
    visitors: HashMap<u64, Arc<Visitor>>,
    last_number: u64,
}

impl Visitors {
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self { present: Mutex::default(), left: Condvar::new(), metrics }
    }

    pub(crate) fn count(&self) -> usize {
        self.lock().visitors.len()
    }

    pub(crate) fn enter(
        self: &Arc<Self>,
        stream: TcpStream,
        address: IpAddr,
    ) -> (Visit, Arc<Visitor>) {
        let visitor = Arc::new(Visitor::new(stream, address));
        let mut present = self.lock();
        present.last_number += 1;
        let number = present.last_number;
        present.visitors.insert(number, Arc::clone(&visitor));
        self.metrics.connection_opened();
        (Visit { visitors: Arc::clone(self), number }, visitor)
    }

    /// Ends the connection that has kept the server waiting for longest, those first that have
    /// never asked for anything; whether there is room now.
    pub(crate) fn make_room(&self) -> bool {
        let present = self.lock();
        let longest = present.visitors.values().filter_map(|v| Some((v.dispensable()?, v)));
        let Some((_, visitor)) = longest.min_by_key(|(rank, _)| *rank) else { return false };
        visitor.send_home();
        self.metrics.connection_cut("crowded-out");
        let count = present.visitors.len();
        let waited = self.left.wait_timeout_while(present, ENDING, |p| p.visitors.len() >= count);
        let (present, _) = waited.unwrap_or_else(PoisonError::into_inner);
        present.visitors.len() < count
    }

    /// Ends the connections of those who have had an answer and ask for nothing more.
    pub(crate) fn send_idle_regulars_home(&self) {
        let present = self.lock();
        let idle = present.visitors.values().filter(|v| v.is_idle() && v.is_regular());
        idle.for_each(|visitor| visitor.send_home());
    }

    /// Ends all connections on which nothing happens.
    pub(crate) fn send_idle_home(&self) {
        let present = self.lock();
        let idle = present.visitors.values().filter(|visitor| visitor.is_idle());
        idle.for_each(|visitor| visitor.send_home());
    }

    /// Waits until nobody is left, at most until `deadline`; how many still are.
    pub(crate) fn wait_until_gone(&self, deadline: Instant) -> usize {
        let left = deadline.saturating_duration_since(Instant::now());
        let present = self.lock();
        let waited = self.left.wait_timeout_while(present, left, |p| !p.visitors.is_empty());
        waited.unwrap_or_else(PoisonError::into_inner).0.visitors.len()
    }

    fn leave(&self, number: u64) {
        // Closes the connection, before those hear of it who wait for its descriptor.
        drop(self.lock().visitors.remove(&number));
        self.metrics.connection_closed();
        self.left.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Present> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A visitor's stay. Dropped, it is over, and the connection closed once nobody else holds it.
#[derive(Debug)]
pub(crate) struct Visit {
    visitors: Arc<Visitors>,
    number: u64,
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.visitors.leave(self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    struct Room {
        visitors: Arc<Visitors>,
        listener: TcpListener,
        clients: Vec<TcpStream>,
    }

    impl Room {
        fn new() -> Self {
            let visitors = Arc::new(Visitors::new(Arc::new(Metrics::new("0"))));
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            Self { visitors, listener, clients: Vec::new() }
        }

        /// A visitor who has been doing this for so long.
        fn enter(&mut self, doings: &[Doing], ago: Duration) -> (Visit, Arc<Visitor>) {
            self.clients.push(TcpStream::connect(self.listener.local_addr().unwrap()).unwrap());
            let (stream, address) = self.listener.accept().unwrap();
            let (visit, visitor) = self.visitors.enter(stream, address.ip());
            doings.iter().for_each(|doing| visitor.set(*doing));
            visitor.lock().since -= ago;
            (visit, visitor)
        }
    }

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn room_is_made_by_the_newcomer_who_has_kept_waiting_for_longest() {
        let mut room = Room::new();
        let regular = [Doing::Served, Doing::Idle];
        let stays = [
            room.enter(&regular, 3 * LONG),
            room.enter(&[Doing::Sending], LONG),
            room.enter(&[Doing::Idle], 2 * LONG),
            room.enter(&[Doing::Served], 4 * LONG),
        ];
        let threads = stays.map(|(visit, visitor)| {
            let has_ended = move || {
                let ended = visitor.stream.peek(&mut [0]).is_ok_and(|count| count == 0);
                drop((visitor, visit));
                ended
            };
            thread::spawn(has_ended)
        });
        assert!(room.visitors.make_room());
        assert_eq!(room.visitors.count(), 3);
        assert!(room.visitors.make_room());
        assert!(room.visitors.make_room(), "who is idle goes too, if nobody else is there");
        assert!(!room.visitors.make_room(), "who waits for an answer stays");
        room.clients.clear();
        assert_eq!(room.visitors.wait_until_gone(Instant::now() + LONG), 0);
        for thread in threads {
            assert!(thread.join().unwrap());
        }
    }

    #[test]
    fn who_has_just_come_stays() {
        let mut room = Room::new();
        let _stay = room.enter(&[Doing::Idle], Duration::ZERO);
        assert!(!room.visitors.make_room());
        assert_eq!(room.visitors.wait_until_gone(Instant::now()), 1);
    }
}
