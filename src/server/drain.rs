//! The orderly end: no more is taken in, what was taken in is finished as far as the time goes,
//! and every client is told.

use std::thread;
use std::time::{Duration, Instant};

use super::face::{Face, draining};

/// How long uploads that were interrupted may take to tell their clients: a name that is being
/// resolved or a connection being made is waited for (10 s), and then Cloud Storage is told (9 s).
const FAREWELL: Duration = Duration::from_secs(20);

/// Drains an intake that is closed. Meanwhile the uploader gives back what it has prepared for
/// uploads that will not come. How many uploads never came to an end.
pub(super) fn drain(face: &Face) -> usize {
    let give_back = || face.guarded(|| face.uploader.close_pool());
    thread::scope(|scope| {
        let beside = thread::Builder::new().name("giving-back".to_owned());
        let beside = beside.spawn_scoped(scope, give_back);
        let unfinished = finish_uploads(face);
        if let Err(error) = beside {
            log::debug!("no thread for giving back what was prepared: {error}");
            give_back();
        }
        unfinished
    })
}

/// Uploads that run or wait may finish within the configured time; in its last quarter none that
/// still waits is begun; then the rest is interrupted. How many never came to an end.
fn finish_uploads(face: &Face) -> usize {
    let began = Instant::now();
    let timeout = face.config.drain_timeout;
    if face.intake.wait_until_idle(began + timeout * 3 / 4) > 0 {
        refuse_waiting(face);
    }
    let left = face.intake.wait_until_idle(began + timeout);
    // Also with none left: whoever holds the uploader learns that it is over.
    face.intake.interrupt();
    face.uploader.interrupt();
    if left > 0 {
        log::warn!("interrupting {left} uploads: they did not finish within {timeout:?}");
    }
    face.intake.wait_until_idle(Instant::now() + FAREWELL)
}

fn refuse_waiting(face: &Face) {
    face.intake.begin_no_more();
    while let Some(job) = face.queue.take_back() {
        face.conclude(job.client, job.underway, Err(draining()));
        drop(job.admission);
    }
}
