//! One tiny_http on the listening socket, and the threads that wait at it.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::panic;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::exchange::Exchange;
use super::face::Face;

pub(super) struct Gate {
    server: tiny_http::Server,
    listener: Descriptor,
    /// Held by the one that waits for a request, until the request has its place among those of
    /// its connection.
    waiting: Mutex<()>,
    /// How many threads take requests from it.
    threads: AtomicUsize,
    /// It accepts no more: one thread is enough for the connections that it has.
    retired: AtomicBool,
}

impl Gate {
    pub(super) fn open(listener: TcpListener) -> io::Result<Self> {
        let descriptor = Descriptor::of(&listener);
        // It panics where it cannot spawn its thread.
        let served = panic::catch_unwind(|| tiny_http::Server::from_listener(listener, None));
        let served = served.map_err(|_| io::Error::other("its thread could not be started"))?;
        Ok(Self {
            server: served.map_err(io::Error::other)?,
            listener: descriptor,
            waiting: Mutex::default(),
            threads: AtomicUsize::new(0),
            retired: AtomicBool::new(false),
        })
    }

    /// Waits for the next request and takes it in; `None` if it is not to be served now.
    pub(super) fn next(&self, face: &Face) -> io::Result<Option<Exchange>> {
        let _waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let request = self.server.recv()?;
        Ok(face.guarded(|| face.receive(request)))
    }

    /// Ends the wait of that many threads.
    pub(super) fn unblock(&self, threads: usize) {
        (0..threads).for_each(|_| self.server.unblock());
    }

    /// Whether tiny_http's accepting thread has ended: then it has closed its descriptor.
    pub(super) fn is_deaf(&self) -> bool {
        !self.listener.is_open()
    }

    /// Marks that it accepts no more; whether this is the first to notice.
    pub(super) fn retire(&self) -> bool {
        !self.retired.swap(true, Ordering::AcqRel)
    }

    /// One thread more takes requests.
    pub(super) fn arrive(&self) {
        self.threads.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether the thread that asks is one too many; then it counts no more.
    pub(super) fn may_leave(&self) -> bool {
        let others = |threads: usize| (threads > 1).then(|| threads - 1);
        self.threads.fetch_update(Ordering::AcqRel, Ordering::Acquire, others).is_ok()
    }
}

/// A descriptor that somebody else owns, by what Linux tells of it. Looking takes no descriptor.
struct Descriptor {
    link: PathBuf,
    /// What it stands for; `None` where the system does not tell.
    target: Option<PathBuf>,
}

impl Descriptor {
    fn of(listener: &TcpListener) -> Self {
        let link = PathBuf::from(format!("/proc/self/fd/{}", listener.as_raw_fd()));
        let target = fs::read_link(&link).ok();
        Self { link, target }
    }

    /// Whether it still stands for the same. Where that cannot be known, it is taken to be so.
    fn is_open(&self) -> bool {
        let Some(target) = &self.target else { return true };
        match fs::read_link(&self.link) {
            Ok(now) => now == *target,
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_that_is_closed_or_used_for_another_is_not_open() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut descriptor = Descriptor::of(&listener);
        assert!(descriptor.is_open());
        descriptor.target = Some("socket:[1]".into());
        assert!(!descriptor.is_open());
        descriptor.link = "/proc/self/fd/999999999".into();
        assert!(!descriptor.is_open());
    }

    #[test]
    fn the_last_thread_stays() {
        let gate = Gate::open(TcpListener::bind("127.0.0.1:0").unwrap()).unwrap();
        (0..3).for_each(|_| gate.arrive());
        assert_eq!([gate.may_leave(), gate.may_leave(), gate.may_leave()], [true, true, false]);
    }

    #[test]
    fn only_the_first_retires_it() {
        let gate = Gate::open(TcpListener::bind("127.0.0.1:0").unwrap()).unwrap();
        assert!(!gate.is_deaf());
        assert!(gate.retire() && !gate.retire());
    }
}
