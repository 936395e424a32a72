//! Takes requests from the HTTP library and hands each to a thread of its own.
//!
//! There is always a thread to spare for as many requests as there may be connections, so that an
//! upload that stalls keeps nobody else waiting.

use std::io;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, TrySendError, bounded};
use tiny_http::{Request, Server};

use super::service::Service;
use super::stop::Stop;
use super::wire::MAX_CONNECTIONS;

/// The wait before the library is started anew.
const RESTART_WAIT: Duration = Duration::from_millis(50);

/// The HTTP library, kept alive.
pub(super) struct Library {
    listener: TcpListener,
    server: Mutex<Arc<Server>>,
    stop: Arc<Stop>,
}

impl Library {
    pub(super) fn start(listener: TcpListener, stop: Arc<Stop>) -> io::Result<Self> {
        let server = Mutex::new(Arc::new(serve(&listener)?));
        Ok(Self { listener, server, stop })
    }

    /// Wakes whoever waits for a request.
    pub(super) fn unblock(&self) {
        self.current().unblock();
    }

    /// The next request; `None` once the emulator stops.
    fn receive(&self) -> Option<Request> {
        while !self.stop.is_set() {
            match self.current().recv() {
                Ok(request) => return Some(request),
                Err(_) if self.stop.is_set() => {}
                Err(error) => {
                    // The library's accept thread has ended, and would never tell again.
                    log::warn!("emulator: accepting failed, starting again: {error}");
                    self.stop.wait(RESTART_WAIT);
                    self.restart();
                }
            }
        }
        None
    }

    fn restart(&self) {
        match serve(&self.listener) {
            Ok(server) => {
                *self.server.lock().unwrap_or_else(PoisonError::into_inner) = server.into()
            }
            Err(error) => log::error!("emulator: no new start: {error}"),
        }
    }

    fn current(&self) -> Arc<Server> {
        Arc::clone(&self.server.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn serve(listener: &TcpListener) -> io::Result<Server> {
    Server::from_listener(listener.try_clone()?, None).map_err(io::Error::other)
}

/// Hands requests out until the emulator stops, then waits for those who have one.
pub(super) fn dispatch(library: &Library, service: &Arc<Service>) {
    let (sender, receiver) = bounded(0);
    let mut workers: Vec<JoinHandle<()>> = Vec::new();
    while let Some(request) = library.receive() {
        let request = match sender.try_send(request) {
            Ok(()) => continue,
            Err(TrySendError::Full(request) | TrySendError::Disconnected(request)) => request,
        };
        workers.retain(|worker| !worker.is_finished());
        if workers.len() >= MAX_CONNECTIONS {
            // The receiver lives in this function as well, so this only waits.
            drop(sender.send(request));
            continue;
        }
        match spawn_worker(request, receiver.clone(), Arc::clone(service)) {
            Ok(worker) => workers.push(worker),
            Err(error) => log::error!("emulator: no thread for a request: {error}"),
        }
    }
    drop(sender);
    for worker in workers {
        if worker.join().is_err() {
            log::error!("emulator: a worker panicked");
        }
    }
}

fn spawn_worker(
    first: Request,
    more: Receiver<Request>,
    service: Arc<Service>,
) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name("emulator-worker".to_owned()).spawn(move || {
        service.serve(first);
        for request in more {
            service.serve(request);
        }
    })
}
