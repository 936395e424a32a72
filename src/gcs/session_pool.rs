//! Ready sessions: opened ahead of the uploads that will use them, so that an upload costs one round
//! trip, and is resumable all the same.
//!
//! The name, the seed and with it the checksum of a random file are drawn before anybody asks for
//! it. Its size, and whatever else comes with the request, follow with its bytes: the size in
//! `Content-Range`, the rest as `X-Goog-Meta-…` header fields
//! (<https://docs.cloud.google.com/storage/docs/json_api/v1/parameters#xgoogmeta>).
//!
//! A crew of threads opens sessions behind those that are used, as many as uploads last_requested for and did
//! not find, up to a number. What nobody has used for [`MAX_AGE`] is cancelled, and so is all that is
//! left in the end. An upload waits for none of this: it takes a session that is at hand, or goes
//! the ordinary way.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::num::NonZeroUsize;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use crate::content::{CHECKSUM_SETTLED, ObjectPrefix, RandomContent, Seed};
use crate::sync::{CondvarExt as _, LockExt as _};
use crate::telemetry::Metrics;

use super::NewObject;
use super::backoff::BackOff;
use super::bucket::Bucket;
use super::session::Session;

/// Time for which a session is kept. Cloud Storage keeps one for a week; but the name of its object
/// contains the time at which it was chosen, the identity that opened it may lose its permissions,
/// and without uploads nothing should stay open for long.
const MAX_AGE: Duration = Duration::from_secs(10 * 60);
/// How long a request of the crew may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// The stack of a thread of the crew, which does no more than one small request at a time. Only what
/// is touched of it takes memory.
const STACK_SIZE: usize = 256 << 10;

/// Which sessions are opened ahead.
#[derive(Clone, Debug)]
pub struct SessionPoolConfig {
    /// Maximum number of sessions.
    pub sessions: NonZeroUsize,
    /// Number of threads, each of which opens one session at a time.
    pub threads: NonZeroUsize,
    /// Prefix of the objects' names.
    pub prefix: ObjectPrefix,
    /// The objects' media type.
    pub content_type: String,
}

/// A random file of which Cloud Storage knows all but the size and what came with the request.
#[derive(Debug)]
pub struct PooledUpload {
    object: NewObject,
    content: RandomContent,
    session: Session,
    deferred_headers: Vec<(String, String)>,
}

impl PooledUpload {
    pub(super) fn new(
        ready: PooledSession,
        metadata: &BTreeMap<String, String>,
        size: u64,
    ) -> Self {
        let PooledSession { mut object, seed, session, .. } = ready;
        let field =
            |(key, value): (&String, &String)| (format!("x-goog-meta-{key}"), value.clone());
        let deferred_headers = metadata.iter().map(field).collect();
        object.metadata.extend(metadata.clone());
        Self { object, content: RandomContent::new(seed, size), session, deferred_headers }
    }

    /// The object that it is to be.
    pub fn object(&self) -> &NewObject {
        &self.object
    }

    /// Its bytes.
    pub fn content(&self) -> &RandomContent {
        &self.content
    }

    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    /// The header fields that go with the bytes.
    pub(super) fn deferred_headers(&self) -> impl Iterator<Item = (&str, String)> {
        self.deferred_headers.iter().map(|(name, value)| (name.as_str(), value.clone()))
    }
}

/// A session that waits for its upload.
pub(super) struct PooledSession {
    pub(super) object: NewObject,
    pub(super) seed: Seed,
    pub(super) session: Session,
    pub(super) opened: Instant,
}

impl PooledSession {
    fn expires_at(&self) -> Instant {
        self.opened + MAX_AGE
    }
}

/// The sessions of one bucket.
pub(super) struct SessionPool {
    bucket: Bucket,
    config: SessionPoolConfig,
    metrics: Arc<Metrics>,
    state: Mutex<State>,
    /// For the crew: there may be something to do.
    changed: Condvar,
    /// For whoever waits for the crew's end.
    ended: Condvar,
}

struct State {
    /// The oldest first: it is used first, so that objects are named in the order of their uploads.
    idle: VecDeque<PooledSession>,
    /// Sessions that are being opened.
    opening: usize,
    /// Number of sessions to hold: grows when an upload finds none, shrinks when one has expired.
    target: usize,
    /// When an upload last_requested last.
    last_requested: Option<Instant>,
    back_off: BackOff,
    /// No session is opened before: the last one could not be.
    retry_at: Option<Instant>,
    /// Set in the end: until when what is left may be cancelled.
    closing: Option<Instant>,
    /// Threads that are running.
    threads: usize,
}

/// What a thread of the crew does next.
enum Task {
    Open,
    Cancel(Session, CancelReason),
    /// Nothing until then, if at all.
    Wait(Option<Instant>),
    Stop,
}

/// CancelReason a session is given up unused.
#[derive(Clone, Copy)]
enum CancelReason {
    Aged,
    Closing,
}

impl State {
    fn new(back_off: BackOff) -> Self {
        Self {
            idle: VecDeque::new(),
            opening: 0,
            target: 0,
            last_requested: None,
            back_off,
            retry_at: None,
            closing: None,
            threads: 0,
        }
    }

    /// The oldest that is not too old; `None` makes for more of them, at most `limit`.
    fn take(&mut self, now: Instant, limit: usize) -> Option<PooledSession> {
        self.last_requested = Some(now);
        let young = self.idle.partition_point(|ready| ready.expires_at() <= now);
        let taken = self.idle.remove(young);
        if taken.is_none() {
            self.target = (2 * self.target).clamp(1, limit);
        }
        taken
    }

    fn next_task(&mut self, now: Instant) -> Task {
        if let Some(deadline) = self.closing {
            let left = if now < deadline { self.idle.pop_front() } else { None };
            return left
                .map_or(Task::Stop, |ready| Task::Cancel(ready.session, CancelReason::Closing));
        }
        let expires = self.idle.front().map(PooledSession::expires_at);
        if expires.is_some_and(|expires| expires <= now)
            && let Some(aged) = self.idle.pop_front()
        {
            self.target = self.target.saturating_sub(1);
            return Task::Cancel(aged.session, CancelReason::Aged);
        }
        let recently_used =
            self.last_requested.is_some_and(|last_requested| now < last_requested + MAX_AGE);
        if !recently_used || self.idle.len() + self.opening >= self.target {
            return Task::Wait(expires);
        }
        match self.retry_at.filter(|&rest| now < rest) {
            Some(rest) => Task::Wait(Some(expires.map_or(rest, |expires| expires.min(rest)))),
            None => {
                self.opening += 1;
                Task::Open
            }
        }
    }

    fn opened(&mut self, ready: PooledSession) {
        self.opening -= 1;
        self.back_off.reset();
        self.retry_at = None;
        self.idle.push_back(ready);
    }

    /// Makes the whole crew rest for a while.
    fn failed(&mut self, now: Instant, random: f64) {
        self.opening -= 1;
        // Of several that fail together, one counts.
        if self.retry_at.is_none_or(|rest| rest <= now) {
            self.retry_at = Some(now + self.back_off.next(random));
        }
    }
}

impl SessionPool {
    pub(super) fn new(bucket: Bucket, config: SessionPoolConfig, metrics: Arc<Metrics>) -> Self {
        let back_off = BackOff::new(bucket.retry.initial_wait, bucket.retry.max_wait);
        let state = Mutex::new(State::new(back_off));
        Self { bucket, config, metrics, state, changed: Condvar::new(), ended: Condvar::new() }
    }

    /// Starts the crew. It ends with [`close`](Self::close).
    pub(super) fn start_threads(self: &Arc<Self>) -> io::Result<()> {
        for number in 1..=self.config.threads.get() {
            let sessions = Arc::clone(self);
            self.lock().threads += 1;
            let spawned = thread::Builder::new()
                .name(format!("session-pool-{number}"))
                .stack_size(STACK_SIZE)
                .spawn(move || PoolThread(&sessions).work());
            if spawned.is_err() {
                self.lock().threads -= 1;
                self.abandon();
            }
            spawned?;
        }
        Ok(())
    }

    /// A file of `size` bytes whose session is open, if there is one at hand and the size allows it:
    /// the checksum of a very short file depends on its size.
    pub(super) fn take(
        &self,
        metadata: &BTreeMap<String, String>,
        size: u64,
    ) -> Option<PooledUpload> {
        if size < CHECKSUM_SETTLED {
            return None;
        }
        let taken = {
            let mut state = self.lock();
            if state.closing.is_some() {
                return None;
            }
            let taken = state.take(self.bucket.clock.now(), self.config.sessions.get());
            self.metrics.set_ready_sessions(state.idle.len());
            taken
        };
        self.changed.notify_one();
        match taken {
            Some(ready) => {
                self.metrics.ready_session_ended("used");
                Some(PooledUpload::new(ready, metadata, size))
            }
            None => {
                self.metrics.ready_session_missed();
                None
            }
        }
    }

    /// Opens no more, cancels what is left, and waits for that, at most this long.
    pub(super) fn close(&self, within: Duration) {
        let mut state = self.lock();
        state.closing = Some(self.bucket.clock.now() + within);
        self.changed.notify_all();
        let state =
            self.ended.wait_timeout_while_ignoring_poison(state, within, |state| state.threads > 0);
        let left = state.idle.len() + state.opening;
        if left > 0 {
            log::warn!(
                "{left} sessions that were opened ahead could not be cancelled in time: Cloud \
                 Storage ends them after a week, and keeps nothing of them"
            );
        }
    }

    /// Ends the crew without waiting for it, or for anything else.
    pub(super) fn abandon(&self) {
        self.lock().closing.get_or_insert(self.bucket.clock.now());
        self.changed.notify_all();
    }

    /// The next thing to do, once there is one.
    fn next_task(&self) -> Task {
        let mut state = self.lock();
        loop {
            let now = self.bucket.clock.now();
            let next = state.next_task(now);
            let Task::Wait(until) = next else {
                self.metrics.set_ready_sessions(state.idle.len());
                return next;
            };
            state = match until {
                None => self.changed.wait_ignoring_poison(state),
                Some(until) => {
                    let wait = until.saturating_duration_since(now);
                    self.changed.wait_timeout_ignoring_poison(state, wait)
                }
            };
        }
    }

    /// Does one thing; `false` when there is nothing more to do, ever.
    fn run_next_task(&self) -> bool {
        match self.next_task() {
            Task::Open => self.open(),
            Task::Cancel(session, why) => self.cancel(&session, why),
            Task::Wait(_) => {}
            Task::Stop => return false,
        }
        true
    }

    fn open(&self) {
        let seed = Seed::random();
        let object = NewObject {
            name: self.config.prefix.random_name(),
            content_type: self.config.content_type.clone(),
            metadata: [("seed".to_owned(), seed.to_string())].into(),
        };
        // Before the request: so the session is no older than it is taken for.
        let opened = self.bucket.clock.now();
        let session = self.bucket.open(&object, seed.crc32c(), REQUEST_TIMEOUT);
        let mut state = self.lock();
        match session {
            Ok(session) => {
                state.opened(PooledSession { object, seed, session, opened });
                self.metrics.set_ready_sessions(state.idle.len());
            }
            Err(error) => {
                log::debug!("no session was opened ahead: {error}");
                state.failed(self.bucket.clock.now(), self.bucket.clock.random());
                self.metrics.ready_session_failed();
            }
        }
    }

    fn cancel(&self, session: &Session, why: CancelReason) {
        let time = match self.lock().closing {
            Some(deadline) => deadline.saturating_duration_since(self.bucket.clock.now()),
            None => REQUEST_TIMEOUT,
        };
        self.bucket.cancel(session.uri(), time.min(REQUEST_TIMEOUT));
        self.metrics.ready_session_ended(match why {
            CancelReason::Aged => "aged",
            CancelReason::Closing => "closing",
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock_ignoring_poison()
    }
}

/// A thread of the crew, for as long as it is at work.
struct PoolThread<'a>(&'a SessionPool);

impl PoolThread<'_> {
    fn work(&self) {
        while self.0.run_next_task() {}
    }
}

impl Drop for PoolThread<'_> {
    fn drop(&mut self) {
        self.0.lock().threads -= 1;
        self.0.ended.notify_all();
    }
}

#[cfg(test)]
mod tests;
