//! Decisions of the application that the wire needs before and beside the handling of a request.

/// Decisions about a request that its head alone is enough for.
pub(crate) trait HeadPolicy {
    /// Returns whether a request with this method and target has a body that the handler reads.
    /// Any other body is read and discarded up to a limit.
    fn accepts_body(&self, method: &str, target: &str) -> bool;

    /// Returns the headers that requests carry to the handler.
    fn forwarded_headers(&self) -> ForwardedHeaders;
}

/// State of the application that connections depend on, and the observer of their events.
pub(crate) trait ConnectionPolicy: Send + Sync {
    /// Returns whether the server is shutting down: connections are not kept alive then.
    fn is_draining(&self) -> bool {
        false
    }

    /// Returns whether bodies that are still being received should be abandoned.
    fn is_cancelled(&self) -> bool {
        false
    }

    /// Counts something that happened to a connection.
    fn observe(&self, event: Event) {
        let _ = event;
    }
}

/// Selection of request headers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ForwardedHeaders {
    /// All headers, except those that frame the body or belong to the connection.
    #[cfg_attr(not(feature = "emulator"), allow(dead_code))]
    All,
    /// Headers with these names, in the case that is given here.
    Only(&'static [&'static str]),
}

/// Event on a connection or in its handling, for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A connection was accepted.
    ConnectionOpened,
    /// A connection was closed.
    ConnectionClosed,
    /// The server closed a connection early, or did not accept it.
    ConnectionCut(CutReason),
    /// A connection could not be accepted, or had no thread.
    AcceptFailed,
    /// The handler panicked.
    HandlerPanicked,
}

/// Reason why the server closed a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CutReason {
    /// The maximum number of connections was open.
    Full,
    /// Its place was needed for another connection.
    Evicted,
    /// The client sent no request in time.
    Idle,
    /// The client did not take the response in time.
    ResponseNotTaken,
}
