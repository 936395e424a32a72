//! Registry of open connections: bounds their number, evicts idle ones, and closes them at shutdown.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::policy::{ConnectionPolicy, CutReason, Event};
use crate::sync::{CondvarExt, LockExt};

/// A client's connection, as other threads than its own see it.
#[derive(Debug)]
pub(crate) struct ConnectionHandle {
    pub(crate) stream: TcpStream,
    /// Address of the client.
    pub(crate) peer: IpAddr,
    activity: Mutex<Activity>,
}

/// Phase of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectionState {
    /// Nothing of a request has arrived.
    Idle,
    ReadingRequest,
    /// The request is being handled, or its response written.
    Responding,
    /// The last response was written.
    Closing,
}

#[derive(Debug)]
struct Activity {
    state: ConnectionState,
    since: Instant,
    /// The connection has had a response before.
    kept_alive: bool,
}

impl ConnectionHandle {
    fn new(stream: TcpStream, peer: IpAddr) -> Self {
        let activity =
            Activity { state: ConnectionState::Idle, since: Instant::now(), kept_alive: false };
        Self { stream, peer, activity: Mutex::new(activity) }
    }

    /// Sets the phase. Called by the connection's own thread.
    pub(crate) fn set_state(&self, state: ConnectionState) {
        let mut activity = self.lock();
        if activity.state != state {
            activity.kept_alive |= activity.state == ConnectionState::Responding;
            (activity.state, activity.since) = (state, Instant::now());
        }
    }

    /// Returns whether the connection has had a response before.
    pub(crate) fn is_kept_alive(&self) -> bool {
        self.lock().kept_alive
    }

    fn is_idle(&self) -> bool {
        self.lock().state == ConnectionState::Idle
    }

    /// Returns the eviction rank, lowest first; `None` if the connection must not be evicted.
    fn eviction_rank(&self, now: Instant, min_idle: Duration) -> Option<(bool, Instant)> {
        let activity = self.lock();
        let idle = now.saturating_duration_since(activity.since);
        let evictable = activity.state != ConnectionState::Responding && idle >= min_idle;
        evictable.then_some((activity.kept_alive, activity.since))
    }

    /// Makes the connection's thread read the end of the stream. A response is still written.
    fn shutdown_read(&self) {
        log_shutdown(self.stream.shutdown(Shutdown::Read));
    }

    fn lock(&self) -> MutexGuard<'_, Activity> {
        self.activity.lock_ignoring_poison()
    }
}

fn log_shutdown(result: io::Result<()>) {
    if let Err(error) = result {
        // For instance because the client has closed the connection in the meantime.
        log::debug!("cannot shut down a connection: {error}");
    }
}

/// All open connections of one listener.
pub(crate) struct Connections {
    open: Mutex<Open>,
    closed: Condvar,
    policy: Arc<dyn ConnectionPolicy>,
}

#[derive(Debug, Default)]
struct Open {
    connections: HashMap<u64, Arc<ConnectionHandle>>,
    last_id: u64,
}

impl Connections {
    pub(crate) fn new(policy: Arc<dyn ConnectionPolicy>) -> Self {
        Self { open: Mutex::default(), closed: Condvar::new(), policy }
    }

    pub(crate) fn count(&self) -> usize {
        self.lock().connections.len()
    }

    pub(crate) fn register(
        self: &Arc<Self>,
        stream: TcpStream,
        peer: IpAddr,
    ) -> (ConnectionGuard, Arc<ConnectionHandle>) {
        let connection = Arc::new(ConnectionHandle::new(stream, peer));
        let mut open = self.lock();
        open.last_id += 1;
        let id = open.last_id;
        open.connections.insert(id, Arc::clone(&connection));
        drop(open);
        self.policy.observe(Event::ConnectionOpened);
        (ConnectionGuard { connections: Arc::clone(self), id }, connection)
    }

    /// Closes the connection that has been idle for longest, first among those without any response
    /// so far. Returns whether one has closed within `wait`.
    pub(crate) fn evict_one(&self, min_idle: Duration, wait: Duration) -> bool {
        let now = Instant::now();
        let open = self.lock();
        let ranked = open.connections.values();
        let ranked = ranked.filter_map(|c| Some((c.eviction_rank(now, min_idle)?, c)));
        let Some((_, connection)) = ranked.min_by_key(|(rank, _)| *rank) else { return false };
        connection.shutdown_read();
        self.policy.observe(Event::ConnectionCut(CutReason::Evicted));
        let count = open.connections.len();
        let still_open = |open: &mut Open| open.connections.len() >= count;
        let open = self.closed.wait_timeout_while_ignoring_poison(open, wait, still_open);
        open.connections.len() < count
    }

    /// Closes the idle connections that have had a response.
    pub(crate) fn close_idle_keep_alive(&self) {
        self.shutdown_idle(ConnectionHandle::is_kept_alive);
    }

    /// Closes all idle connections.
    pub(crate) fn close_idle(&self) {
        self.shutdown_idle(|_| true);
    }

    fn shutdown_idle(&self, selected: impl Fn(&ConnectionHandle) -> bool) {
        let open = self.lock();
        let idle = open.connections.values().filter(|c| c.is_idle() && selected(c));
        idle.for_each(|connection| connection.shutdown_read());
    }

    /// Breaks all connections, whatever happens on them.
    #[cfg(feature = "emulator")]
    pub(crate) fn abort_all(&self) {
        for connection in self.lock().connections.values() {
            log_shutdown(connection.stream.shutdown(Shutdown::Both));
        }
    }

    /// Waits until all connections have closed, at most until `deadline`. Returns how many have not.
    pub(crate) fn wait_until_closed(&self, deadline: Instant) -> usize {
        let timeout = deadline.saturating_duration_since(Instant::now());
        let any = |open: &mut Open| !open.connections.is_empty();
        let open = self.closed.wait_timeout_while_ignoring_poison(self.lock(), timeout, any);
        open.connections.len()
    }

    fn remove(&self, id: u64) {
        // Closes the connection before those are notified that wait for its descriptor.
        drop(self.lock().connections.remove(&id));
        self.policy.observe(Event::ConnectionClosed);
        self.closed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock_ignoring_poison()
    }
}

/// Registration of a connection. Dropping it removes the connection from the registry, and closes it
/// once no other thread holds its handle.
pub(crate) struct ConnectionGuard {
    connections: Arc<Connections>,
    id: u64,
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.connections.remove(self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::super::tests::NoHandler;
    use super::ConnectionState::{Idle, ReadingRequest, Responding};
    use super::*;

    struct Fixture {
        connections: Arc<Connections>,
        listener: TcpListener,
        clients: Vec<TcpStream>,
    }

    const LONG: Duration = Duration::from_secs(20);
    const MIN_IDLE: Duration = Duration::from_millis(500);

    impl Fixture {
        fn new() -> Self {
            let connections = Arc::new(Connections::new(Arc::new(NoHandler)));
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            Self { connections, listener, clients: Vec::new() }
        }

        /// Registers a connection that has gone through these states, and been in the last for `age`.
        fn register(
            &mut self,
            states: &[ConnectionState],
            age: Duration,
        ) -> (ConnectionGuard, Arc<ConnectionHandle>) {
            self.clients.push(TcpStream::connect(self.listener.local_addr().unwrap()).unwrap());
            let (stream, address) = self.listener.accept().unwrap();
            let (guard, connection) = self.connections.register(stream, address.ip());
            states.iter().for_each(|state| connection.set_state(*state));
            connection.lock().since -= age;
            (guard, connection)
        }

        fn evict_one(&self) -> bool {
            self.connections.evict_one(MIN_IDLE, LONG)
        }
    }

    #[test]
    fn eviction_takes_new_connections_first_and_those_that_respond_never() {
        let mut fixture = Fixture::new();
        let registered = [
            fixture.register(&[Responding, Idle], 3 * LONG),
            fixture.register(&[ReadingRequest], LONG),
            fixture.register(&[Idle], 2 * LONG),
            fixture.register(&[Responding], 4 * LONG),
        ];
        let threads = registered.map(|(guard, connection)| {
            let has_ended = move || {
                let ended = connection.stream.peek(&mut [0]).is_ok_and(|count| count == 0);
                drop((connection, guard));
                ended
            };
            thread::spawn(has_ended)
        });
        assert!(fixture.evict_one());
        assert_eq!(fixture.connections.count(), 3);
        assert!(fixture.evict_one());
        assert!(fixture.evict_one(), "an idle keep-alive connection is evicted last");
        assert!(!fixture.evict_one(), "a connection that awaits its response stays");
        fixture.clients.clear();
        assert_eq!(fixture.connections.wait_until_closed(Instant::now() + LONG), 0);
        for thread in threads {
            assert!(thread.join().unwrap());
        }
    }

    #[test]
    fn connection_that_was_idle_for_a_short_time_is_not_evicted() {
        let mut fixture = Fixture::new();
        let _registered = fixture.register(&[Idle], Duration::ZERO);
        assert!(!fixture.connections.evict_one(LONG, LONG));
        assert_eq!(fixture.connections.wait_until_closed(Instant::now()), 1);
    }
}
