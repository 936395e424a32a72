//! The workers: a fixed number of threads that run the uploads in the queue.

use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crate::server::uploads::context::{Context, draining};
use crate::server::uploads::queue::{Job, Queue, UploadRequest};
use crate::server::uploads::{file, random};

/// Niceness of a worker: threads that respond to health checks go first where processors are short.
const NICENESS: i32 = 5;

/// Starts the workers.
///
/// # Errors
/// When a thread cannot be created.
pub(crate) fn start(context: &Arc<Context>, queue: &Arc<Queue>) -> io::Result<Vec<JoinHandle<()>>> {
    (1..=context.config.workers.get())
        .map(|number| {
            let (context, queue) = (Arc::clone(context), Arc::clone(queue));
            let worker = thread::Builder::new().name(format!("worker-{number}"));
            worker.spawn(move || run(&context, &queue))
        })
        .collect()
}

fn run(context: &Context, queue: &Queue) {
    lower_priority();
    while let Some(job) = queue.pop() {
        let done = panic::catch_unwind(AssertUnwindSafe(|| upload(context, *job)));
        if done.is_err() {
            context.metrics.panic_caught();
            log::error!("caught a panic in a worker");
        }
    }
}

/// On Linux, niceness is a property of a thread, and raising it needs no privilege. It has no effect
/// outside of the container.
fn lower_priority() {
    if let Err(error) = rustix::process::nice(NICENESS) {
        log::debug!("cannot lower the priority of a worker: {error}");
    }
}

/// Not inlined into [`run`], whose stack frame an idle worker holds as well.
#[inline(never)]
fn upload(context: &Context, job: Job) {
    let Job { client, upload, handle, permit } = job;
    let result = if context.admission.may_start() {
        context.metrics.worker_became_busy();
        let id = client.request_id();
        let result = match &upload {
            UploadRequest::Random(request) => random::upload(context, id, request, &handle),
            UploadRequest::File(request) => file::upload(context, id, request, &handle),
        };
        context.metrics.worker_became_idle();
        result
    } else {
        Err(draining())
    };
    context.finish(client, handle, result);
    drop(permit);
}
