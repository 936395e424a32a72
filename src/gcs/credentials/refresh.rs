//! Keeps a token fresh: one thread asks for the next one ahead of time, everybody else reads.
//!
//! ```text
//!            wanted, or due                 response, failure, time-out
//!   idle ─────────────────────▶ asking ────────────────────────────────▶ idle
//! ```
//!
//! While the endpoint fails, the last token is given for as long as it holds, and the thread asks
//! again after a pause that grows. A token that Cloud Storage rejects is renewed once, however
//! many threads ask, and not again for some seconds.
//!
//! Knows nothing of how a token is got: that is the [`TokenFetcher`]'s.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime};

use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::sync::{CondvarExt as _, LockExt as _};

use super::discover::CredentialSource;
use super::token_fetcher::{
    FailureKind, FetchFailure, FetchedToken, GoogleTokenFetcher, TokenFetcher,
};
use super::{AccessToken, CredentialsError, TokenSource};

/// Times and intervals of the refresh.
#[derive(Clone, Debug)]
pub struct RefreshConfig {
    /// Time for one attempt to get a token, including every request that it needs.
    pub attempt_timeout: Duration,
    /// Maximum time for which [`token`](TokenSource::token) and [`refresh`](TokenSource::refresh)
    /// block, whatever the timeout of the caller.
    pub max_wait: Duration,
    /// Time before its expiry at which a token is refreshed; but never before three quarters of its
    /// life.
    ///
    /// The default, 225 s, is that of Google's own clients: a metadata server gives the same token
    /// until five minutes before its expiry, so that asking earlier gains nothing.
    pub refresh_before_expiry: Duration,
    /// The pause after the first failure. It doubles with each further one, and is shortened by a
    /// random part of up to a half. Also the shortest time between two tokens.
    pub initial_backoff: Duration,
    /// The longest pause between two attempts.
    pub max_backoff: Duration,
    /// Minimum interval between two forced refreshes.
    pub min_refresh_interval: Duration,
}

impl Default for RefreshConfig {
    fn default() -> Self {
        Self {
            attempt_timeout: Duration::from_secs(15),
            max_wait: Duration::from_secs(30),
            refresh_before_expiry: Duration::from_secs(225),
            initial_backoff: Duration::from_secs(1),
            max_backoff: Duration::from_secs(30),
            min_refresh_interval: Duration::from_secs(5),
        }
    }
}

/// The longest sleep before the clock is looked at again: a machine that was suspended, or whose
/// clock was set, finds its token expired before the sleep would have ended.
const MAX_SLEEP: Duration = Duration::from_secs(60);

/// Tokens from Google, kept fresh by a thread that ends when this is dropped.
pub struct GoogleCredentials {
    shared: Arc<Shared>,
}

impl GoogleCredentials {
    /// Starts the thread `credentials`, which asks for the first token at once. Does not wait for
    /// it: [`token`](TokenSource::token) does.
    ///
    /// # Errors
    /// The thread or the TLS client cannot be made.
    pub fn start(
        found: &CredentialSource,
        config: RefreshConfig,
    ) -> Result<Self, CredentialsError> {
        Self::start_with(GoogleTokenFetcher::new(found)?, found.source.to_string(), config)
    }

    fn start_with<I: TokenFetcher + Send + 'static>(
        fetcher: I,
        source_name: String,
        config: RefreshConfig,
    ) -> Result<Self, CredentialsError> {
        let cannot = |error: std::io::Error| CredentialsError {
            source_name: source_name.clone(),
            reason: format!("the thread that keeps tokens fresh cannot be started: {error}"),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .thread_name("credentials-io")
            .build()
            .map_err(cannot)?;
        let shared = Arc::new(Shared {
            source_name: source_name.clone(),
            config,
            state: Mutex::default(),
            changed: Condvar::new(),
            wake: Notify::new(),
        });
        let refresher = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("credentials".to_owned())
            .spawn(move || refresh_loop(&refresher, fetcher, runtime))
            .map_err(cannot)?;
        Ok(Self { shared })
    }
}

impl Drop for GoogleCredentials {
    fn drop(&mut self) {
        self.shared.state().phase = Phase::Stopped;
        self.shared.wake.notify_one();
    }
}

impl TokenSource for GoogleCredentials {
    fn token(&self, max_wait: Duration) -> Result<Option<AccessToken>, CredentialsError> {
        let max_wait = Deadline::after(max_wait.min(self.shared.config.max_wait));
        let mut state = self.shared.state();
        loop {
            if let Some(token) = state.token() {
                return Ok(Some(token.clone()));
            }
            if let Some(error) = state.permanent_error() {
                return Err(error.clone());
            }
            // The thread may sleep over a change of the clock.
            self.shared.wake.notify_one();
            state = self.shared.wait(state, max_wait)?;
        }
    }

    fn refresh(
        &self,
        rejected: &AccessToken,
        max_wait: Duration,
    ) -> Result<Option<AccessToken>, CredentialsError> {
        let max_wait = Deadline::after(max_wait.min(self.shared.config.max_wait));
        let mut state = self.shared.state();
        if let Some(token) = state.token_other_than(rejected) {
            return Ok(Some(token.clone()));
        }
        if state.refreshed_within(self.shared.config.min_refresh_interval) {
            return state.outcome_for(rejected);
        }
        if state.phase == Phase::Idle {
            state.phase = Phase::Requested;
            self.shared.wake.notify_one();
        }
        let before = state.attempts;
        while state.attempts == before {
            state = self.shared.wait(state, max_wait)?;
        }
        state.outcome_for(rejected)
    }

    fn interrupt(&self) {
        self.shared.state().interrupted = true;
        self.shared.changed.notify_all();
    }

    fn status(&self) -> Result<Option<SystemTime>, CredentialsError> {
        let state = self.shared.state();
        match (&state.cached, &state.failure) {
            (Some(cached), _) if cached.is_valid() => Ok(cached.expires_at),
            (_, Some(failure)) => Err(failure.error.clone()),
            (_, None) => Err(self.shared.error("the first one has not come yet")),
        }
    }
}

/// State that the thread and the readers share.
struct Shared {
    source_name: String,
    config: RefreshConfig,
    state: Mutex<State>,
    /// An attempt has ended.
    changed: Condvar,
    /// Tells the thread to look at the state.
    wake: Notify,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock_ignoring_poison()
    }

    /// Waits for an attempt to end. When the max_wait does it is an error: what the last attempt
    /// came to, if that was a failure.
    fn wait<'a>(
        &self,
        state: MutexGuard<'a, State>,
        max_wait: Deadline,
    ) -> Result<MutexGuard<'a, State>, CredentialsError> {
        let left = max_wait.left();
        if left.is_zero() || state.interrupted {
            let waited = humantime::format_duration(max_wait.time);
            return Err(match (&state.failure, state.interrupted) {
                (Some(failure), _) => failure.error.clone(),
                (None, true) => self.error("interrupted while waiting for an access token"),
                (None, false) => self.error(&format!("none came within {waited}")),
            });
        }
        Ok(self.changed.wait_timeout_ignoring_poison(state, left))
    }

    fn error(&self, reason: &str) -> CredentialsError {
        CredentialsError { source_name: self.source_name.clone(), reason: reason.to_owned() }
    }
}

/// Time limit of a wait.
#[derive(Clone, Copy)]
struct Deadline {
    began: Instant,
    time: Duration,
}

impl Deadline {
    fn after(time: Duration) -> Self {
        Self { began: Instant::now(), time }
    }

    fn left(self) -> Duration {
        self.time.saturating_sub(self.began.elapsed())
    }
}

/// Activity of the thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// Waits until a token is due.
    #[default]
    Idle,
    /// Is to ask at once, as a token was rejected.
    Requested,
    /// Has asked.
    Fetching,
    /// Is no longer needed.
    Stopped,
}

#[derive(Default)]
struct State {
    phase: Phase,
    cached: Option<CachedToken>,
    /// Error of the last attempt, if it failed.
    failure: Option<FetchFailure>,
    /// Failed attempts since the last success.
    failures: u32,
    /// Time of the next attempt after a failure.
    retry_at: Option<Instant>,
    /// Attempts that have ended.
    attempts: u64,
    /// Time at which the last attempt ended that was made because a token was rejected.
    last_forced_refresh: Option<Instant>,
    /// Nobody is to wait any more.
    interrupted: bool,
}

/// The token that is given.
struct CachedToken {
    token: AccessToken,
    expires_at: Option<SystemTime>,
    refresh_at: Option<SystemTime>,
}

impl CachedToken {
    /// The token as it came; an error if it is of no use, as it has expired.
    fn new(fetched: FetchedToken, config: &RefreshConfig) -> Option<Self> {
        let FetchedToken { token, expires_at } = fetched;
        let now = SystemTime::now();
        let refresh_at = match expires_at {
            Some(end) => {
                let life = end.duration_since(now).ok().filter(|life| !life.is_zero())?;
                let until = life - config.refresh_before_expiry.min(life / 4);
                Some(now + until.max(config.initial_backoff))
            }
            None => None,
        };
        Some(Self { token, expires_at, refresh_at })
    }

    fn is_valid(&self) -> bool {
        self.expires_at.is_none_or(|end| SystemTime::now() < end)
    }
}

impl State {
    fn token(&self) -> Option<&AccessToken> {
        self.cached.as_ref().filter(|cached| cached.is_valid()).map(|cached| &cached.token)
    }

    fn token_other_than(&self, rejected: &AccessToken) -> Option<&AccessToken> {
        self.token().filter(|token| *token != rejected)
    }

    /// The error of a failure that waiting does not cure.
    fn permanent_error(&self) -> Option<&CredentialsError> {
        let failure = self.failure.as_ref()?;
        (failure.kind == FailureKind::Permanent).then_some(&failure.error)
    }

    fn refreshed_within(&self, time: Duration) -> bool {
        self.last_forced_refresh.is_some_and(|then| then.elapsed() < time)
    }

    /// Returns the outcome of the last attempt for a caller whose token was rejected.
    fn outcome_for(&self, rejected: &AccessToken) -> Result<Option<AccessToken>, CredentialsError> {
        match (&self.failure, self.token_other_than(rejected)) {
            (_, Some(token)) => Ok(Some(token.clone())),
            (Some(failure), None) => Err(failure.error.clone()),
            // The fetcher stands by the token that Cloud Storage rejects.
            (None, None) => Ok(None),
        }
    }

    /// Returns how long the thread may still wait before the next attempt; `None` means forever.
    fn due_in(&self) -> Option<Duration> {
        if self.phase == Phase::Requested {
            return Some(Duration::ZERO);
        }
        if let Some(retry_at) = self.retry_at {
            return Some(retry_at.saturating_duration_since(Instant::now()));
        }
        match &self.cached {
            None => Some(Duration::ZERO),
            Some(cached) => {
                let refresh_at = cached.refresh_at?;
                Some(refresh_at.duration_since(SystemTime::now()).unwrap_or_default())
            }
        }
    }
}

/// The thread's life.
fn refresh_loop(shared: &Shared, mut fetcher: impl TokenFetcher, runtime: Runtime) {
    runtime.block_on(async {
        while wait_until_due(shared).await.is_some() {
            let forced = begin_attempt(shared);
            let outcome = attempt(&mut fetcher, shared.config.attempt_timeout).await;
            end_attempt(shared, outcome, forced);
        }
    });
    // A name that is being resolved must not hold the thread.
    runtime.shutdown_background();
}

/// Returns when it is time to ask; `None` when the credentials are no longer needed.
async fn wait_until_due(shared: &Shared) -> Option<()> {
    loop {
        let due_in = {
            let state = shared.state();
            if state.phase == Phase::Stopped {
                return None;
            }
            state.due_in()
        };
        match due_in {
            Some(Duration::ZERO) => return Some(()),
            Some(wait) => {
                // Whether it was woken or slept enough, the state says what is next.
                let _ = timeout(wait.min(MAX_SLEEP), shared.wake.notified()).await;
            }
            None => shared.wake.notified().await,
        }
    }
}

/// Reason of an attempt.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RefreshReason {
    /// A token was rejected.
    Rejection,
    /// It was time.
    Schedule,
}

fn begin_attempt(shared: &Shared) -> RefreshReason {
    let mut state = shared.state();
    let requested = state.phase == Phase::Requested;
    if state.phase != Phase::Stopped {
        state.phase = Phase::Fetching;
    }
    if requested { RefreshReason::Rejection } else { RefreshReason::Schedule }
}

/// One attempt, which ends in time and with a result, whatever happens within.
async fn attempt(
    fetcher: &mut impl TokenFetcher,
    time: Duration,
) -> Result<FetchedToken, FetchFailure> {
    let outcome = {
        let mut asking = pin!(fetcher.fetch());
        // The libraries panic at some answers (an `expires_in` beyond the calendar's end). That
        // must not end the thread.
        let guarded = poll_fn(|cx| {
            catch_unwind(AssertUnwindSafe(|| asking.as_mut().poll(cx)))
                .map_or(Poll::Ready(None), |poll| poll.map(Some))
        });
        timeout(time, guarded).await
    };
    match outcome {
        Ok(Some(outcome)) => outcome,
        Ok(None) => Err(fetcher.aborted("the response could not be processed")),
        Err(_) => {
            let time = humantime::format_duration(time);
            Err(fetcher.aborted(&format!("no response within {time}")))
        }
    }
}

fn end_attempt(
    shared: &Shared,
    outcome: Result<FetchedToken, FetchFailure>,
    reason: RefreshReason,
) {
    let mut state = shared.state();
    let cached = outcome.and_then(|fetched| {
        CachedToken::new(fetched, &shared.config).ok_or_else(|| FetchFailure {
            error: shared.error("the token that came has expired; is this machine's clock right?"),
            kind: FailureKind::Transient,
        })
    });
    match cached {
        Ok(cached) => record_success(shared, &mut state, cached),
        Err(failure) => record_failure(shared, &mut state, failure),
    }
    if state.phase != Phase::Stopped {
        state.phase = Phase::Idle;
    }
    if reason == RefreshReason::Rejection {
        state.last_forced_refresh = Some(Instant::now());
    }
    state.attempts += 1;
    shared.changed.notify_all();
}

fn record_success(shared: &Shared, state: &mut State, cached: CachedToken) {
    log::info!("access token from {}, {}", shared.source_name, expiry(cached.expires_at));
    state.cached = Some(cached);
    state.failure = None;
    state.failures = 0;
    state.retry_at = None;
}

fn record_failure(shared: &Shared, state: &mut State, failure: FetchFailure) {
    let pause = pause(&shared.config, state.failures);
    let meanwhile = match state.cached.as_ref().filter(|cached| cached.is_valid()) {
        Some(cached) => format!("the present one {}", expiry(cached.expires_at)),
        None => "uploads fail until then".to_owned(),
    };
    log::warn!("{}; retrying in {:.1} s, {meanwhile}", failure.error, pause.as_secs_f64());
    state.failure = Some(failure);
    state.failures = state.failures.saturating_add(1);
    state.retry_at = Some(Instant::now() + pause);
}

fn expiry(expires_at: Option<SystemTime>) -> String {
    match expires_at {
        Some(end) => format!("expires at {}", httpdate::fmt_http_date(end)),
        None => "never expires".to_owned(),
    }
}

/// The pause after `failures` failures and one more.
fn pause(config: &RefreshConfig, failures: u32) -> Duration {
    let doubled = config.initial_backoff.saturating_mul(2_u32.saturating_pow(failures));
    doubled.min(config.max_backoff).mul_f64(rand::random_range(0.5..1.0))
}

#[cfg(test)]
mod tests {
    use std::thread::{scope, sleep};

    use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};

    use super::*;

    /// Longer than any test takes that passes.
    const LONG: Duration = Duration::from_secs(60);

    /// An fetcher that asks the test for every response.
    struct Scripted {
        asked: Sender<()>,
        answers: Receiver<Script>,
    }

    enum Script {
        Token(&'static str, Option<Duration>),
        Expired,
        Fail(FailureKind),
        Panic,
        Hang,
    }

    impl TokenFetcher for Scripted {
        async fn fetch(&mut self) -> Result<FetchedToken, FetchFailure> {
            self.asked.send(()).unwrap();
            let fetched = |name: &str, expires_at| {
                Ok(FetchedToken { token: AccessToken::new(name.to_owned()), expires_at })
            };
            // The test has ended when it no longer answers.
            match self.answers.recv().unwrap_or(Script::Hang) {
                Script::Token(name, life) => {
                    fetched(name, life.map(|life| SystemTime::now() + life))
                }
                Script::Expired => fetched("late", Some(SystemTime::UNIX_EPOCH)),
                Script::Fail(kind) => Err(FetchFailure { error: error("endpoint down"), kind }),
                Script::Panic => panic!("as the test wants it"),
                Script::Hang => std::future::pending().await,
            }
        }

        fn aborted(&self, what: &str) -> FetchFailure {
            FetchFailure { error: error(what), kind: FailureKind::Transient }
        }
    }

    fn error(reason: &str) -> CredentialsError {
        CredentialsError { source_name: "script".to_owned(), reason: reason.to_owned() }
    }

    /// The test's end of the script.
    struct Harness {
        credentials: GoogleCredentials,
        asked: Receiver<()>,
        answers: Sender<Script>,
    }

    impl Harness {
        fn start(config: RefreshConfig) -> Self {
            let (asking, asked) = unbounded();
            let (answers, answering) = unbounded();
            let fetcher = Scripted { asked: asking, answers: answering };
            let credentials =
                GoogleCredentials::start_with(fetcher, "script".to_owned(), config).unwrap();
            Self { credentials, asked, answers }
        }

        /// Waits until the fetcher is asked, and gives it this response.
        fn respond(&self, script: Script) {
            self.asked.recv_timeout(LONG).unwrap();
            self.answers.send(script).unwrap();
        }

        /// Waits until the fetcher has been asked and is kept waiting.
        fn until_asked(&self) {
            self.asked.recv_timeout(LONG).unwrap();
        }

        fn assert_not_asked(&self) {
            assert!(self.asked.try_recv().is_err(), "the fetcher was asked once more");
        }

        /// Waits until `attempts` have ended.
        fn until_ended(&self, attempts: u64) {
            let mut state = self.credentials.shared.state();
            while state.attempts < attempts {
                state = self.credentials.shared.wait(state, Deadline::after(LONG)).unwrap();
            }
        }

        /// Waits, as nobody else does, until there is this token.
        fn until_given(&self, name: &str) {
            while self.credentials.shared.state().token() != Some(&named(name)) {
                std::thread::yield_now();
            }
        }

        /// Lets the time come at which the token is to be renewed.
        fn make_due(&self) {
            let shared = &self.credentials.shared;
            shared.state().cached.as_mut().unwrap().refresh_at = Some(SystemTime::now());
            shared.wake.notify_one();
        }

        fn token(&self) -> Result<Option<AccessToken>, CredentialsError> {
            self.credentials.token(LONG)
        }
    }

    /// No pauses, and max_wait enough for any machine.
    fn brisk() -> RefreshConfig {
        RefreshConfig {
            attempt_timeout: LONG,
            max_wait: LONG,
            refresh_before_expiry: LONG,
            initial_backoff: Duration::from_millis(1),
            max_backoff: Duration::from_millis(2),
            min_refresh_interval: Duration::ZERO,
        }
    }

    fn named(name: &str) -> AccessToken {
        AccessToken::new(name.to_owned())
    }

    fn gives(name: &str) -> Result<Option<AccessToken>, CredentialsError> {
        Ok(Some(named(name)))
    }

    const HOUR: Option<Duration> = Some(Duration::from_secs(3600));

    #[test]
    fn first_token_is_waited_for() {
        let harness = Harness::start(brisk());
        harness.until_asked();
        assert_eq!(
            harness.credentials.status(),
            Err(error("the first one has not come yet")),
            "status does not wait"
        );
        scope(|threads| {
            let waiting = threads.spawn(|| harness.token());
            harness.answers.send(Script::Token("one", HOUR)).unwrap();
            assert_eq!(waiting.join().unwrap(), gives("one"));
        });
        let expiry = harness.credentials.status().unwrap().unwrap();
        assert!(expiry > SystemTime::now() + Duration::from_secs(3000));
    }

    #[test]
    fn next_token_is_fetched_before_expiry_without_blocking() {
        let harness = Harness::start(brisk());
        harness.respond(Script::Token("one", HOUR));
        harness.until_ended(1);
        harness.assert_not_asked();
        harness.make_due();
        harness.until_asked();
        assert_eq!(harness.token(), gives("one"));
        harness.answers.send(Script::Token("two", HOUR)).unwrap();
        harness.until_ended(2);
        assert_eq!(harness.token(), gives("two"));
        harness.assert_not_asked();
    }

    #[test]
    fn token_is_refreshed_before_expiry_but_not_before_three_quarters_of_its_life() {
        let config = RefreshConfig {
            refresh_before_expiry: Duration::from_secs(225),
            ..RefreshConfig::default()
        };
        let renewed_after = |life: u64| {
            let start = SystemTime::now();
            let expires_at = Some(start + Duration::from_secs(life));
            let cached =
                CachedToken::new(FetchedToken { token: named("one"), expires_at }, &config)
                    .unwrap();
            cached.refresh_at.unwrap().duration_since(start).unwrap().as_secs_f64().round() as u64
        };
        assert_eq!(renewed_after(3600), 3375);
        assert_eq!(renewed_after(400), 300);
        assert_eq!(renewed_after(1), 1, "not sooner than the first pause");
    }

    #[test]
    fn old_token_is_used_while_the_endpoint_is_down() {
        let harness = Harness::start(brisk());
        harness.respond(Script::Token("one", HOUR));
        harness.until_ended(1);
        harness.make_due();
        for (attempts, kind) in
            (2..8).zip([FailureKind::Transient, FailureKind::Permanent].repeat(3))
        {
            harness.respond(Script::Fail(kind));
            harness.until_ended(attempts);
            assert_eq!(harness.token(), gives("one"));
            assert!(harness.credentials.status().is_ok());
        }
        harness.respond(Script::Token("two", HOUR));
        harness.until_ended(8);
        assert_eq!(harness.token(), gives("two"));
    }

    #[test]
    fn expired_token_is_not_used_and_the_next_one_is_waited_for() {
        let harness = Harness::start(brisk());
        harness.respond(Script::Token("one", Some(Duration::from_millis(20))));
        harness.until_ended(1);
        harness.until_asked();
        while harness.credentials.status().is_ok() {
            sleep(Duration::from_millis(1));
        }
        scope(|threads| {
            let waiting = threads.spawn(|| harness.token());
            harness.answers.send(Script::Token("two", HOUR)).unwrap();
            assert_eq!(waiting.join().unwrap(), gives("two"));
        });
    }

    #[test]
    fn transient_failures_are_waited_out() {
        let harness = Harness::start(brisk());
        scope(|threads| {
            let waiting = threads.spawn(|| harness.token());
            for _ in 0..5 {
                harness.respond(Script::Fail(FailureKind::Transient));
            }
            harness.respond(Script::Token("one", HOUR));
            assert_eq!(waiting.join().unwrap(), gives("one"));
        });
    }

    #[test]
    fn transient_failure_is_returned_after_the_maximum_wait() {
        let harness =
            Harness::start(RefreshConfig { max_wait: Duration::from_millis(50), ..brisk() });
        harness.respond(Script::Fail(FailureKind::Transient));
        harness.until_asked();
        assert_eq!(harness.token(), Err(error("endpoint down")));
        assert_eq!(harness.credentials.status(), Err(error("endpoint down")));
    }

    #[test]
    fn unresponsive_endpoint_is_an_error_after_the_maximum_wait() {
        let harness =
            Harness::start(RefreshConfig { max_wait: Duration::from_millis(50), ..brisk() });
        harness.respond(Script::Hang);
        assert_eq!(harness.token(), Err(error("none came within 50ms")));
    }

    #[test]
    fn wait_is_bounded_by_the_callers_timeout() {
        let harness = Harness::start(brisk());
        harness.respond(Script::Hang);
        let waited = harness.credentials.token(Duration::from_millis(20));
        assert_eq!(waited, Err(error("none came within 20ms")));
    }

    #[test]
    fn interrupt_ends_all_waits_and_keeps_the_token() {
        let harness = Harness::start(brisk());
        harness.until_asked();
        scope(|threads| {
            let waiting = threads.spawn(|| harness.token());
            harness.credentials.interrupt();
            let interrupted = Err(error("interrupted while waiting for an access token"));
            assert_eq!(waiting.join().unwrap(), interrupted);
            assert_eq!(harness.token(), interrupted, "nobody waits later either");
        });
        harness.answers.send(Script::Token("one", HOUR)).unwrap();
        harness.until_given("one");
        assert_eq!(harness.token(), gives("one"));
        assert!(harness.credentials.refresh(&named("one"), LONG).is_err());
    }

    #[test]
    fn permanent_failure_is_returned_without_a_wait_and_retried() {
        let harness = Harness::start(brisk());
        harness.respond(Script::Fail(FailureKind::Permanent));
        harness.until_ended(1);
        assert_eq!(harness.token(), Err(error("endpoint down")));
        harness.until_asked();
        assert_eq!(harness.token(), Err(error("endpoint down")), "also while it is asked again");
        harness.answers.send(Script::Token("one", HOUR)).unwrap();
        harness.until_ended(2);
        assert_eq!(harness.token(), gives("one"));
    }

    #[test]
    fn attempt_that_times_out_or_panics_is_retried() {
        let harness =
            Harness::start(RefreshConfig { attempt_timeout: Duration::from_millis(5), ..brisk() });
        harness.respond(Script::Hang);
        harness.until_asked();
        assert_eq!(harness.credentials.status(), Err(error("no response within 5ms")));
        harness.answers.send(Script::Panic).unwrap();
        harness.until_asked();
        assert_eq!(harness.credentials.status(), Err(error("the response could not be processed")));
        harness.answers.send(Script::Token("one", HOUR)).unwrap();
        assert_eq!(harness.token(), gives("one"));
    }

    #[test]
    fn token_that_is_expired_on_arrival_is_a_failure() {
        let harness = Harness::start(brisk());
        harness.respond(Script::Expired);
        harness.until_asked();
        let reason = "the token that came has expired; is this machine's clock right?";
        assert_eq!(harness.credentials.status(), Err(error(reason)));
    }

    #[test]
    fn token_without_expiry_is_never_refreshed() {
        let harness = Harness::start(brisk());
        harness.respond(Script::Token("one", None));
        assert_eq!(harness.token(), gives("one"));
        assert_eq!(harness.credentials.status(), Ok(None));
        harness.assert_not_asked();
    }

    #[test]
    fn rejected_token_of_sixteen_threads_causes_one_refresh() {
        let harness = Harness::start(brisk());
        harness.respond(Script::Token("one", HOUR));
        harness.until_ended(1);
        scope(|threads| {
            let renewals: Vec<_> = (0..16)
                .map(|_| threads.spawn(|| harness.credentials.refresh(&named("one"), LONG)))
                .collect();
            harness.respond(Script::Token("two", HOUR));
            for refresh in renewals {
                assert_eq!(refresh.join().unwrap(), gives("two"));
            }
        });
        harness.assert_not_asked();
    }

    #[test]
    fn rejected_token_that_was_replaced_causes_no_request() {
        let harness = Harness::start(brisk());
        harness.respond(Script::Token("two", HOUR));
        harness.until_ended(1);
        assert_eq!(harness.credentials.refresh(&named("one"), LONG), gives("two"));
        harness.assert_not_asked();
    }

    #[test]
    fn failed_refresh_is_returned_to_every_caller() {
        let harness = Harness::start(RefreshConfig {
            min_refresh_interval: LONG,
            initial_backoff: LONG,
            max_backoff: LONG,
            ..brisk()
        });
        harness.respond(Script::Token("one", HOUR));
        harness.until_ended(1);
        scope(|threads| {
            let renewals: Vec<_> = (0..16)
                .map(|_| threads.spawn(|| harness.credentials.refresh(&named("one"), LONG)))
                .collect();
            harness.respond(Script::Fail(FailureKind::Transient));
            for refresh in renewals {
                assert_eq!(refresh.join().unwrap(), Err(error("endpoint down")));
            }
        });
        assert_eq!(
            harness.credentials.refresh(&named("one"), LONG),
            Err(error("endpoint down")),
            "too soon"
        );
        harness.assert_not_asked();
    }

    #[test]
    fn rejected_fresh_token_is_not_refreshed_immediately() {
        let harness = Harness::start(RefreshConfig { min_refresh_interval: LONG, ..brisk() });
        harness.respond(Script::Token("one", HOUR));
        harness.until_ended(1);
        scope(|threads| {
            let refresh = threads.spawn(|| harness.credentials.refresh(&named("one"), LONG));
            harness.respond(Script::Token("two", HOUR));
            assert_eq!(refresh.join().unwrap(), gives("two"));
        });
        assert_eq!(harness.credentials.refresh(&named("two"), LONG), Ok(None));
        harness.assert_not_asked();
    }

    #[test]
    fn fetcher_that_returns_the_rejected_token_has_no_other() {
        let harness = Harness::start(brisk());
        harness.respond(Script::Token("one", HOUR));
        harness.until_ended(1);
        scope(|threads| {
            let refresh = threads.spawn(|| harness.credentials.refresh(&named("one"), LONG));
            harness.respond(Script::Token("one", HOUR));
            assert_eq!(refresh.join().unwrap(), Ok(None));
        });
    }

    #[test]
    fn refresh_thread_ends_when_the_credentials_are_dropped() {
        let harness = Harness::start(brisk());
        harness.respond(Script::Token("one", HOUR));
        harness.until_ended(1);
        let Harness { credentials, asked, .. } = harness;
        drop(credentials);
        let end = asked.recv_timeout(LONG);
        assert_eq!(end, Err(RecvTimeoutError::Disconnected));
    }

    #[test]
    fn pauses_double_up_to_the_maximum_with_jitter() {
        let config = RefreshConfig::default();
        for (failures, longest) in [(0, 1.0), (1, 2.0), (4, 16.0), (5, 30.0), (u32::MAX, 30.0)] {
            let pauses: Vec<_> = (0..50).map(|_| pause(&config, failures).as_secs_f64()).collect();
            assert!(pauses.iter().all(|pause| (longest / 2.0..=longest).contains(pause)));
            assert!(pauses.iter().any(|pause| pause != &pauses[0]));
        }
    }
}
