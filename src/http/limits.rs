//! Limits of the server: sizes, times and numbers, all in one place so that tests can inject them.

use std::time::Duration;

/// Per-listener and per-connection limits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Connections that are open at the same time.
    pub(crate) max_connections: usize,
    /// Time to begin a request, the first one included.
    pub(crate) idle_timeout: Duration,
    /// Time to send a request's head, from its first byte; and then a body that is discarded.
    pub(crate) request_timeout: Duration,
    /// Longest pause while a body is received. A client that sends less than
    /// [`min_body_rate`](Self::min_body_rate) for twice as long is too slow.
    pub(crate) body_stall_timeout: Duration,
    /// Bytes per second that a client must send while the server waits for its body.
    pub(crate) min_body_rate: u64,
    /// Time to take a response, or a part of one that is streamed.
    pub(crate) response_timeout: Duration,
    /// Time in which the rest of a request is read and discarded after the last response.
    pub(crate) linger_timeout: Duration,
    /// Bytes of it that are read and discarded.
    pub(crate) linger_bytes: usize,
    /// Time that a connection may stay idle before it can be closed in favour of a new one.
    pub(crate) min_idle_before_eviction: Duration,
    /// Time for an evicted connection to close.
    pub(crate) eviction_wait: Duration,
    /// Time for a first request on connections that were accepted during shutdown.
    pub(crate) shutdown_grace: Duration,
    /// Time for connections to close at shutdown.
    pub(crate) close_timeout: Duration,
}

impl Limits {
    pub(crate) const DEFAULT: Self = Self {
        max_connections: 512,
        idle_timeout: Duration::from_secs(75),
        request_timeout: Duration::from_secs(10),
        body_stall_timeout: Duration::from_secs(30),
        min_body_rate: 1 << 10,
        response_timeout: Duration::from_secs(10),
        linger_timeout: Duration::from_secs(2),
        linger_bytes: 4 << 20,
        min_idle_before_eviction: Duration::from_millis(500),
        eviction_wait: Duration::from_millis(100),
        shutdown_grace: Duration::from_millis(250),
        close_timeout: Duration::from_secs(5),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `docs/security.md` states these to users. Tests of the behaviour inject shorter ones.
    #[test]
    fn default_limits_are_the_documented_ones() {
        let limits = Limits::DEFAULT;
        assert_eq!(limits.idle_timeout, Duration::from_secs(75));
        assert_eq!(limits.request_timeout, Duration::from_secs(10));
        assert_eq!(limits.body_stall_timeout, Duration::from_secs(30));
        assert_eq!(limits.min_body_rate, 1024);
        assert_eq!(limits.response_timeout, Duration::from_secs(10));
        assert_eq!((limits.linger_timeout, limits.linger_bytes), (Duration::from_secs(2), 4 << 20));
    }
}
