//! Receives requests from tiny_http and runs each on a thread of its own.
//!
//! There can be as many threads as connections, so a stalled upload never blocks another request.

use std::io;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, TrySendError, bounded};
use tiny_http::{Request, Server};

use super::service::Service;
use super::shutdown::ShutdownSignal;
use super::wire::MAX_CONNECTIONS;
use crate::sync::LockExt;

/// The wait before tiny_http is restarted.
const RESTART_BACKOFF: Duration = Duration::from_millis(50);

/// A tiny_http server that is restarted when its accept thread ends.
pub(super) struct RestartingServer {
    listener: TcpListener,
    server: Mutex<Arc<Server>>,
    shutdown: Arc<ShutdownSignal>,
}

impl RestartingServer {
    pub(super) fn start(listener: TcpListener, shutdown: Arc<ShutdownSignal>) -> io::Result<Self> {
        let server = Mutex::new(Arc::new(serve(&listener)?));
        Ok(Self { listener, server, shutdown })
    }

    /// Wakes the thread that waits for a request.
    pub(super) fn unblock(&self) {
        self.current().unblock();
    }

    /// Returns the next request; `None` once the emulator shuts down.
    fn receive(&self) -> Option<Request> {
        while !self.shutdown.is_set() {
            match self.current().recv() {
                Ok(request) => return Some(request),
                Err(_) if self.shutdown.is_set() => {}
                Err(error) => {
                    // tiny_http's accept thread has ended; it reports that only once.
                    log::warn!("emulator: accept failed, restarting the HTTP server: {error}");
                    self.shutdown.wait_timeout(RESTART_BACKOFF);
                    self.restart();
                }
            }
        }
        None
    }

    fn restart(&self) {
        match serve(&self.listener) {
            Ok(server) => *self.server.lock_ignoring_poison() = server.into(),
            Err(error) => log::error!("emulator: could not restart the HTTP server: {error}"),
        }
    }

    fn current(&self) -> Arc<Server> {
        Arc::clone(&self.server.lock_ignoring_poison())
    }
}

fn serve(listener: &TcpListener) -> io::Result<Server> {
    Server::from_listener(listener.try_clone()?, None).map_err(io::Error::other)
}

/// Runs requests until the emulator shuts down, then waits for those in progress.
pub(super) fn dispatch(server: &RestartingServer, service: &Arc<Service>) {
    let (sender, receiver) = bounded(0);
    let mut workers: Vec<JoinHandle<()>> = Vec::new();
    while let Some(request) = server.receive() {
        let request = match sender.try_send(request) {
            Ok(()) => continue,
            Err(TrySendError::Full(request) | TrySendError::Disconnected(request)) => request,
        };
        workers.retain(|worker| !worker.is_finished());
        if workers.len() >= MAX_CONNECTIONS {
            // This function owns a receiver too, so this blocks but cannot fail.
            drop(sender.send(request));
            continue;
        }
        match spawn_worker(request, receiver.clone(), Arc::clone(service)) {
            Ok(worker) => workers.push(worker),
            Err(error) => log::error!("emulator: could not start a thread for a request: {error}"),
        }
    }
    drop(sender);
    for worker in workers {
        if worker.join().is_err() {
            log::error!("emulator: worker thread panicked");
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
