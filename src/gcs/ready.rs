//! Ready sessions: opened ahead of the uploads that will use them, so that an upload costs one round
//! trip, and is resumable all the same.
//!
//! The name, the seed and with it the checksum of a random file are drawn before anybody asks for
//! it. Its size, and whatever else comes with the request, follow with its bytes: the size in
//! `Content-Range`, the rest as `X-Goog-Meta-…` header fields
//! (<https://docs.cloud.google.com/storage/docs/json_api/v1/parameters#xgoogmeta>).
//!
//! A crew of threads opens sessions behind those that are used, as many as uploads asked for and did
//! not find, up to a number. What nobody has used for [`MAX_AGE`] is cancelled, and so is all that is
//! left in the end. An upload waits for none of this: it takes a session that is at hand, or goes
//! the ordinary way.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::num::NonZeroUsize;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::content::{CHECKSUM_SETTLED, ObjectPrefix, RandomContent, Seed};
use crate::telemetry::Metrics;

use super::NewObject;
use super::backoff::BackOff;
use super::bucket::Bucket;
use super::session::Session;

/// How long a session is kept for somebody to use it. Cloud Storage keeps one for a week; but its
/// object's name holds the time at which it was drawn, the identity that opened it may lose its
/// rights, and when nobody uploads any more, nothing should be left open for long.
const MAX_AGE: Duration = Duration::from_secs(10 * 60);
/// How long a request of the crew may take.
const REQUEST: Duration = Duration::from_secs(10);
/// The stack of a thread of the crew, which does no more than one small request at a time. Only what
/// is touched of it takes memory.
const STACK: usize = 256 << 10;

/// Which sessions are opened ahead.
#[derive(Clone, Debug)]
pub struct Ahead {
    /// How many at the most.
    pub sessions: NonZeroUsize,
    /// How many are opened at the same time, each by a thread of its own.
    pub crew: NonZeroUsize,
    /// What the objects' names begin with.
    pub prefix: ObjectPrefix,
    /// The objects' media type.
    pub content_type: String,
}

/// A random file of which Cloud Storage knows all but the size and what came with the request.
#[derive(Debug)]
pub struct Prepared {
    object: NewObject,
    content: RandomContent,
    session: Session,
    late: Vec<(String, String)>,
}

impl Prepared {
    pub(super) fn new(ready: Ready, metadata: &BTreeMap<String, String>, size: u64) -> Self {
        let Ready { mut object, seed, session, .. } = ready;
        let field =
            |(key, value): (&String, &String)| (format!("x-goog-meta-{key}"), value.clone());
        let late = metadata.iter().map(field).collect();
        object.metadata.extend(metadata.clone());
        Self { object, content: RandomContent::new(seed, size), session, late }
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
    pub(super) fn late(&self) -> impl Iterator<Item = (&str, String)> {
        self.late.iter().map(|(name, value)| (name.as_str(), value.clone()))
    }
}

/// A session that waits for its upload.
pub(super) struct Ready {
    pub(super) object: NewObject,
    pub(super) seed: Seed,
    pub(super) session: Session,
    pub(super) opened: Instant,
}

impl Ready {
    fn expires(&self) -> Instant {
        self.opened + MAX_AGE
    }
}

/// The sessions of one bucket.
pub(super) struct ReadySessions {
    bucket: Bucket,
    ahead: Ahead,
    metrics: Arc<Metrics>,
    state: Mutex<State>,
    /// For the crew: there may be something to do.
    changed: Condvar,
    /// For whoever waits for the crew's end.
    ended: Condvar,
}

struct State {
    /// The oldest first: it is used first, so that objects are named in the order of their uploads.
    at_hand: VecDeque<Ready>,
    /// How many are being opened.
    opening: usize,
    /// How many there should be: grows when an upload finds none, shrinks when one has aged.
    target: usize,
    /// When an upload asked last.
    asked: Option<Instant>,
    back_off: BackOff,
    /// No session is opened before: the last one could not be.
    rest_until: Option<Instant>,
    /// Set in the end: until when what is left may be cancelled.
    closing: Option<Instant>,
    /// How many threads are at work.
    crew: usize,
}

/// What a thread of the crew does next.
enum Next {
    Open,
    Cancel(Session, Why),
    /// Nothing until then, if at all.
    Wait(Option<Instant>),
    End,
}

/// Why a session is given up unused.
#[derive(Clone, Copy)]
enum Why {
    Aged,
    Closing,
}

impl State {
    fn new(back_off: BackOff) -> Self {
        Self {
            at_hand: VecDeque::new(),
            opening: 0,
            target: 0,
            asked: None,
            back_off,
            rest_until: None,
            closing: None,
            crew: 0,
        }
    }

    /// The oldest that is not too old; `None` makes for more of them, at most `limit`.
    fn take(&mut self, now: Instant, limit: usize) -> Option<Ready> {
        self.asked = Some(now);
        let young = self.at_hand.partition_point(|ready| ready.expires() <= now);
        let taken = self.at_hand.remove(young);
        if taken.is_none() {
            self.target = (2 * self.target).clamp(1, limit);
        }
        taken
    }

    fn next(&mut self, now: Instant) -> Next {
        if let Some(deadline) = self.closing {
            let left = if now < deadline { self.at_hand.pop_front() } else { None };
            return left.map_or(Next::End, |ready| Next::Cancel(ready.session, Why::Closing));
        }
        let expires = self.at_hand.front().map(Ready::expires);
        if expires.is_some_and(|expires| expires <= now)
            && let Some(aged) = self.at_hand.pop_front()
        {
            self.target = self.target.saturating_sub(1);
            return Next::Cancel(aged.session, Why::Aged);
        }
        let in_use = self.asked.is_some_and(|asked| now < asked + MAX_AGE);
        if !in_use || self.at_hand.len() + self.opening >= self.target {
            return Next::Wait(expires);
        }
        match self.rest_until.filter(|&rest| now < rest) {
            Some(rest) => Next::Wait(Some(expires.map_or(rest, |expires| expires.min(rest)))),
            None => {
                self.opening += 1;
                Next::Open
            }
        }
    }

    fn opened(&mut self, ready: Ready) {
        self.opening -= 1;
        self.back_off.reset();
        self.rest_until = None;
        self.at_hand.push_back(ready);
    }

    /// Makes the whole crew rest for a while.
    fn failed(&mut self, now: Instant, random: f64) {
        self.opening -= 1;
        // Of several that fail together, one counts.
        if self.rest_until.is_none_or(|rest| rest <= now) {
            self.rest_until = Some(now + self.back_off.next(random));
        }
    }
}

impl ReadySessions {
    pub(super) fn new(bucket: Bucket, ahead: Ahead, metrics: Arc<Metrics>) -> Self {
        let back_off = BackOff::new(bucket.retry.initial_wait, bucket.retry.longest_wait);
        let state = Mutex::new(State::new(back_off));
        Self { bucket, ahead, metrics, state, changed: Condvar::new(), ended: Condvar::new() }
    }

    /// Starts the crew. It ends with [`close`](Self::close).
    pub(super) fn start_crew(self: &Arc<Self>) -> io::Result<()> {
        for number in 1..=self.ahead.crew.get() {
            let sessions = Arc::clone(self);
            self.lock().crew += 1;
            let spawned = thread::Builder::new()
                .name(format!("ahead-{number}"))
                .stack_size(STACK)
                .spawn(move || OnDuty(&sessions).work());
            if spawned.is_err() {
                self.lock().crew -= 1;
                self.abandon();
            }
            spawned?;
        }
        Ok(())
    }

    /// A file of `size` bytes whose session is open, if there is one at hand and the size allows it:
    /// the checksum of a very short file depends on its size.
    pub(super) fn take(&self, metadata: &BTreeMap<String, String>, size: u64) -> Option<Prepared> {
        if size < CHECKSUM_SETTLED {
            return None;
        }
        let taken = {
            let mut state = self.lock();
            if state.closing.is_some() {
                return None;
            }
            let taken = state.take(self.bucket.timing.now(), self.ahead.sessions.get());
            self.metrics.set_ready_sessions(state.at_hand.len());
            taken
        };
        self.changed.notify_one();
        match taken {
            Some(ready) => {
                self.metrics.ready_session_ended("used");
                Some(Prepared::new(ready, metadata, size))
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
        state.closing = Some(self.bucket.timing.now() + within);
        self.changed.notify_all();
        let waited = self.ended.wait_timeout_while(state, within, |state| state.crew > 0);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let left = state.at_hand.len() + state.opening;
        if left > 0 {
            log::warn!(
                "{left} sessions that were opened ahead could not be cancelled in time: Cloud \
                 Storage ends them after a week, and keeps nothing of them"
            );
        }
    }

    /// Ends the crew without waiting for it, or for anything else.
    pub(super) fn abandon(&self) {
        self.lock().closing.get_or_insert(self.bucket.timing.now());
        self.changed.notify_all();
    }

    /// The next thing to do, once there is one.
    fn next(&self) -> Next {
        let mut state = self.lock();
        loop {
            let now = self.bucket.timing.now();
            let next = state.next(now);
            let Next::Wait(until) = next else {
                self.metrics.set_ready_sessions(state.at_hand.len());
                return next;
            };
            state = match until {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let wait = until.saturating_duration_since(now);
                    let waited = self.changed.wait_timeout(state, wait);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Does one thing; `false` when there is nothing more to do, ever.
    fn attend(&self) -> bool {
        match self.next() {
            Next::Open => self.open(),
            Next::Cancel(session, why) => self.cancel(&session, why),
            Next::Wait(_) => {}
            Next::End => return false,
        }
        true
    }

    fn open(&self) {
        let seed = Seed::draw();
        let object = NewObject {
            name: self.ahead.prefix.random_name(),
            content_type: self.ahead.content_type.clone(),
            metadata: [("seed".to_owned(), seed.to_string())].into(),
        };
        // Before the request: so the session is no older than it is taken for.
        let opened = self.bucket.timing.now();
        let session = self.bucket.open(&object, seed.crc32c(), REQUEST);
        let mut state = self.lock();
        match session {
            Ok(session) => {
                state.opened(Ready { object, seed, session, opened });
                self.metrics.set_ready_sessions(state.at_hand.len());
            }
            Err(error) => {
                log::debug!("no session was opened ahead: {error}");
                state.failed(self.bucket.timing.now(), self.bucket.timing.random());
                self.metrics.ready_session_failed();
            }
        }
    }

    fn cancel(&self, session: &Session, why: Why) {
        let time = match self.lock().closing {
            Some(deadline) => deadline.saturating_duration_since(self.bucket.timing.now()),
            None => REQUEST,
        };
        self.bucket.cancel(session.uri(), time.min(REQUEST));
        self.metrics.ready_session_ended(match why {
            Why::Aged => "aged",
            Why::Closing => "closing",
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread of the crew, for as long as it is at work.
struct OnDuty<'a>(&'a ReadySessions);

impl OnDuty<'_> {
    fn work(&self) {
        while self.0.attend() {}
    }
}

impl Drop for OnDuty<'_> {
    fn drop(&mut self) {
        self.0.lock().crew -= 1;
        self.0.ended.notify_all();
    }
}

#[cfg(test)]
mod tests;
