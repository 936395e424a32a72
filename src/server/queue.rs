//! The queue in which uploads wait, and the workers that take them from it.
//!
//! Both are fixed in number: here, and nowhere else, does work wait.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crossbeam_channel::{Receiver, SendTimeoutError, Sender, TrySendError, bounded};

use super::access::Caller;
use super::exchange::Client;
use super::face::Face;
use super::file_order::FileOrder;
use super::file_upload;
use super::intake::Admission;
use super::ledger::Underway;
use super::order::Order;
use super::prefer::Answered;
use super::upload;

/// How much less than its share a worker gets of a processor that others want, too.
const NICENESS: i32 = 5;

/// An upload that was taken in.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) client: Client,
    pub(super) work: Work,
    pub(super) underway: Underway,
    /// Held until the client has been answered, or until the end if it was long before.
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

impl Work {
    /// Who ordered it; `None` where everybody may.
    pub(super) fn caller(&self) -> Option<&Caller> {
        match self {
            Self::Random(order) => order.caller.as_ref(),
            Self::File(order) => order.caller.as_ref(),
        }
    }

    /// How large the object will be, where that is known beforehand.
    pub(super) fn size(&self) -> Option<u64> {
        match self {
            Self::Random(order) => Some(order.size.as_u64()),
            Self::File(order) => order.announced(),
        }
    }

    /// Whoever sends a file stays until it is sent, and gets its answer then.
    pub(super) fn answered(&self) -> Answered {
        match self {
            Self::Random(order) => order.answered,
            Self::File(_) => Answered::AtTheEnd,
        }
    }
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
    step_back();
    for task in &face.queue.receiver {
        match task {
            Task::Upload(job) => face.guarded(|| serve(face, *job)),
            Task::End => return,
        }
    }
}

/// Lets the threads that answer health and readiness go first, where processors are short. On Linux
/// niceness is a thread's own, anybody may raise his, and beyond the container it counts for nothing.
fn step_back() {
    if let Err(error) = rustix::process::nice(NICENESS) {
        log::debug!("a worker has the priority of the others: {error}");
    }
}

/// Not within [`work`], whose stack frame an idle worker holds as well.
#[inline(never)]
fn serve(face: &Arc<Face>, job: Job) {
    let Job { client, work, underway, admission } = job;
    if face.intake.may_begin() {
        face.metrics.worker_began();
        let reply = match &work {
            Work::Random(order) => upload::run(face, client.id(), order, &underway),
            Work::File(order) => file_upload::run(face, client.id(), order, &underway),
        };
        face.metrics.worker_ended();
        face.conclude(client, underway, reply);
    } else {
        face.conclude(client, underway, Err(super::face::draining()));
    }
    drop(admission);
}
