//! The queue in which uploads wait, and the workers that take them from it.
//!
//! Both are fixed in number: here, and nowhere else, does work wait.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crossbeam_channel::{Receiver, SendTimeoutError, Sender, TrySendError, bounded};

use crate::http::prefer::Answered;
use crate::http::request::Client;
use crate::server::admission::Admission;
use crate::server::auth::Caller;
use crate::server::uploads::context::Face;
use crate::server::uploads::file;
use crate::server::uploads::file_request::FileOrder;
use crate::server::uploads::random;
use crate::server::uploads::random_request::Order;
use crate::server::uploads::registry::Underway;

/// How much less than its share a worker gets of a processor that others want, too.
const NICENESS: i32 = 5;

/// An upload that was taken in.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) client: Client,
    pub(crate) work: Work,
    pub(crate) underway: Underway,
    /// Held until the client has been answered, or until the end if it was long before.
    pub(crate) admission: Admission,
}

/// Where the bytes of an upload come from.
#[derive(Debug)]
pub(crate) enum Work {
    /// They are made here.
    Random(Order),
    /// The client sends them.
    File(FileOrder),
}

impl Work {
    /// Who ordered it; `None` where everybody may.
    pub(crate) fn caller(&self) -> Option<&Caller> {
        match self {
            Self::Random(order) => order.caller.as_ref(),
            Self::File(order) => order.caller.as_ref(),
        }
    }

    /// How large the object will be, where that is known beforehand.
    pub(crate) fn size(&self) -> Option<u64> {
        match self {
            Self::Random(order) => Some(order.size.as_u64()),
            Self::File(order) => order.announced(),
        }
    }

    /// Whoever sends a file stays until it is sent, and gets its answer then.
    pub(crate) fn answered(&self) -> Answered {
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
pub(crate) struct Queue {
    sender: Sender<Task>,
    receiver: Receiver<Task>,
}

impl Queue {
    /// Room for `depth` uploads; with none, one is taken only if a worker waits for it.
    pub(crate) fn new(depth: usize) -> Self {
        let (sender, receiver) = bounded(depth);
        Self { sender, receiver }
    }

    pub(crate) fn depth(&self) -> usize {
        self.receiver.len()
    }

    /// Takes a job in, or gives it back if the queue is full.
    pub(crate) fn offer(&self, job: Job) -> Result<(), Box<Job>> {
        match self.sender.try_send(Task::Upload(Box::new(job))) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(task) | TrySendError::Disconnected(task)) => match task {
                Task::Upload(job) => Err(job),
                Task::End => Ok(()),
            },
        }
    }

    /// Takes out one job that still waits.
    pub(crate) fn take_back(&self) -> Option<Box<Job>> {
        self.receiver.try_iter().find_map(|task| match task {
            Task::Upload(job) => Some(job),
            Task::End => None,
        })
    }

    /// Tells `workers` workers to end; those that are not idle by `deadline` are not told.
    pub(crate) fn end(&self, workers: usize, deadline: Instant) {
        for _ in 0..workers {
            match self.sender.send_deadline(Task::End, deadline) {
                Ok(()) => {}
                Err(SendTimeoutError::Timeout(_) | SendTimeoutError::Disconnected(_)) => return,
            }
        }
    }
}

/// Starts the workers of `face`.
pub(crate) fn start_workers(face: &Arc<Face>) -> io::Result<Vec<JoinHandle<()>>> {
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
            Work::Random(order) => random::run(face, client.id(), order, &underway),
            Work::File(order) => file::run(face, client.id(), order, &underway),
        };
        face.metrics.worker_ended();
        face.conclude(client, underway, reply);
    } else {
        face.conclude(client, underway, Err(crate::server::uploads::context::draining()));
    }
    drop(admission);
}
