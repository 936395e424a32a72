//! Graceful shutdown: accepted uploads finish as far as time allows, and every client gets a response.

use std::panic::{self, AssertUnwindSafe};
use std::thread;
use std::time::{Duration, Instant};

use super::uploads::context::{Context, draining};
use super::uploads::queue::Queue;

/// Time for cancelled uploads to respond to their clients: a name that is being resolved or a
/// connection being made is waited for (10 s), and then the session is cancelled (9 s).
const CANCEL_TIMEOUT: Duration = Duration::from_secs(20);

/// Drains a server that admits no more uploads. Meanwhile the uploader cancels the sessions that it
/// has opened in advance. Returns how many uploads did not end.
pub(crate) fn drain(context: &Context, queue: &Queue) -> usize {
    let close_pool = || {
        let closed = panic::catch_unwind(AssertUnwindSafe(|| context.uploader.close_pool()));
        if closed.is_err() {
            context.metrics.panic_caught();
            log::error!("caught a panic while sessions were cancelled");
        }
    };
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("close-sessions".to_owned());
        let closing = thread.spawn_scoped(scope, close_pool);
        let unfinished = finish_uploads(context, queue);
        if let Err(error) = closing {
            log::debug!("cannot start a thread that cancels sessions: {error}");
            close_pool();
        }
        unfinished
    })
}

/// Lets running and queued uploads finish within the configured time. In its last quarter, queued
/// uploads are no longer started; then the rest is cancelled. Returns how many did not end.
fn finish_uploads(context: &Context, queue: &Queue) -> usize {
    let started = Instant::now();
    let timeout = context.config.drain_timeout;
    if context.admission.wait_until_idle(started + timeout * 3 / 4) > 0 {
        refuse_queued(context, queue);
    }
    let running = context.admission.wait_until_idle(started + timeout);
    // Also with none running: the uploader's own threads learn that it is over.
    context.admission.cancel();
    context.uploader.interrupt();
    if running > 0 {
        log::warn!("cancelling {running} uploads still running after {timeout:?}");
    }
    context.admission.wait_until_idle(Instant::now() + CANCEL_TIMEOUT)
}

fn refuse_queued(context: &Context, queue: &Queue) {
    context.admission.stop_starting();
    while let Some(job) = queue.try_pop() {
        context.finish(job.client, job.handle, Err(draining()));
        drop(job.permit);
    }
}
