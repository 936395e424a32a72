//! Threads that process requests: as many as there are requests at the same time.
//!
//! A stalled upload never blocks another request. The maximum number of connections bounds the
//! threads, because each connection waits for the response to its request.

use std::io;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::service::Service;
use crate::http::request::Request;
use crate::sync::LockExt;

/// Threads of one emulator.
pub(super) struct WorkerPool {
    service: Arc<Service>,
    receiver: Receiver<Request>,
    state: Mutex<State>,
}

struct State {
    /// `None` once the pool has stopped.
    sender: Option<Sender<Request>>,
    threads: Vec<JoinHandle<()>>,
}

impl WorkerPool {
    pub(super) fn new(service: Arc<Service>) -> Self {
        // Without a buffer, so that a request is sent to an idle thread only.
        let (sender, receiver) = bounded(0);
        let state = Mutex::new(State { sender: Some(sender), threads: Vec::new() });
        Self { service, receiver, state }
    }

    /// Processes a request on an idle thread, or on a new one. Never blocks.
    pub(super) fn run(&self, request: Request) {
        let mut state = self.state.lock_ignoring_poison();
        let Some(sender) = &state.sender else { return drop(request.take_over()) };
        match sender.try_send(request) {
            Ok(()) => {}
            Err(TrySendError::Full(request) | TrySendError::Disconnected(request)) => {
                match self.spawn(request) {
                    Ok(thread) => state.threads.push(thread),
                    Err(error) => log::error!("emulator: cannot start a thread: {error}"),
                }
            }
        }
    }

    /// Waits for the requests that are in progress, and ends the threads.
    pub(super) fn stop(&self) {
        let mut state = self.state.lock_ignoring_poison();
        state.sender = None;
        let threads = std::mem::take(&mut state.threads);
        drop(state);
        for thread in threads {
            if thread.join().is_err() {
                log::error!("emulator: a worker thread panicked");
            }
        }
    }

    fn spawn(&self, first: Request) -> io::Result<JoinHandle<()>> {
        let (service, more) = (Arc::clone(&self.service), self.receiver.clone());
        thread::Builder::new().name("emulator-worker".to_owned()).spawn(move || {
            service.serve(first);
            more.into_iter().for_each(|request| service.serve(request));
        })
    }
}
