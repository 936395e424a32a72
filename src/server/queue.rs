//! The queue in which uploads wait, and the workers that take them from it.
//!
//! Both are fixed in number: here, and nowhere else, does work wait.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crossbeam_channel::{Receiver, SendTimeoutError, Sender, TrySendError, bounded};

use super::exchange::Received;
use super::face::Face;
use super::file_order::FileOrder;
use super::file_upload;
use super::intake::Admission;
use super::order::Order;
use super::upload;

/// An upload that was taken in.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) received: Received,
    pub(super) work: Work,
    /// Held until the client has been answered.
    pub(super) admission: Admission,
}

/// Where the bytes of an upload come from.
#[derive(Debug)]
pub(super) enum Work {
    /// They are made here.
    Random(Order),
    /// The client sends them.
    File(FileOrder),
}

#[derive(Debug)]
enum Task {
    Upload(Box<Job>),
    End,
}

#[derive(Debug)]
pub(super) struct Queue {
    sender: Sender<Task>,
    receiver: Receiver<Task>,
}

impl Queue {
    /// Room for `depth` uploads; with none, one is taken only if a worker waits for it.
    pub(super) fn new(depth: usize) -> Self {
        let (sender, receiver) = bounded(depth);
        Self { sender, receiver }
    }

    pub(super) fn depth(&self) -> usize {
        self.receiver.len()
    }

    /// Takes a job in, or gives it back if the queue is full.
    pub(super) fn offer(&self, job: Job) -> Result<(), Box<Job>> {
        match self.sender.try_send(Task::Upload(Box::new(job))) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(task) | TrySendError::Disconnected(task)) => match task {
                Task::Upload(job) => Err(job),
                Task::End => Ok(()),
            },
        }
    }

    /// Takes out one job that still waits.
    pub(super) fn take_back(&self) -> Option<Box<Job>> {
        self.receiver.try_iter().find_map(|task| match task {
            Task::Upload(job) => Some(job),
            Task::End => None,
        })
    }

    /// Tells `workers` workers to end; those that are not idle by `deadline` are not told.
    pub(super) fn end(&self, workers: usize, deadline: Instant) {
        for _ in 0..workers {
            match self.sender.send_deadline(Task::End, deadline) {
                Ok(()) => {}
                Err(SendTimeoutError::Timeout(_) | SendTimeoutError::Disconnected(_)) => return,
            }
        }
    }
}

/// Starts the workers of `face`.
pub(super) fn start_workers(face: &Arc<Face>) -> io::Result<Vec<JoinHandle<()>>> {
    (1..=face.config.workers.get())
        .map(|number| {
            let face = Arc::clone(face);
            thread::Builder::new().name(format!("worker-{number}")).spawn(move || work(&face))
        })
        .collect()
}

fn work(face: &Arc<Face>) {
    for task in &face.queue.receiver {
        match task {
            Task::Upload(job) => face.guarded(|| serve(face, *job)),
            Task::End => return,
        }
    }
}

fn serve(face: &Arc<Face>, job: Job) {
    let Job { received, work, admission } = job;
    if face.intake.may_begin() {
        face.metrics.worker_began();
        let reply = match &work {
            Work::Random(order) => upload::run(face, &received.id, order),
            Work::File(order) => file_upload::run(face, &received.id, order),
        };
        face.metrics.worker_ended();
        face.answer(received, reply);
    } else {
        face.answer(received, Err(super::face::draining()));
    }
    drop(admission);
}
