//! Keys at a URL, kept fresh while requests are served.
//!
//! No task runs when no request comes. A request that finds the keys older than their time starts a fetch and goes
//! on with the old keys; only a request that cannot go on without the fetch waits for it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::{Client, Url};
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::jwks_fetch::{Fetched, JwksError, fetch};
use super::keys::{KeySet, SigningAlgorithm, VerificationKey};
use super::{AuthError, IdentityConfigError, SystemClock, UnixClock};

/// When keys are fetched anew, if the answer does not say: after 5 minutes.
pub const DEFAULT_REFRESH: Duration = Duration::from_secs(300);
/// The least and the greatest `max-age` that is followed: 1 minute and 1 hour.
pub const REFRESH_BOUNDS: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(3600));
/// How long old keys serve while the URL is down, by default: 24 hours.
pub const DEFAULT_MAX_AGE: Duration = Duration::from_secs(24 * 3600);
/// The least time between the starts of two fetches: 10 seconds.
pub const MIN_INTERVAL: Duration = Duration::from_secs(10);

/// The keys of a JWKS URL.
///
/// Cheap to clone; clones share keys and fetches.
#[derive(Clone)]
pub struct Jwks {
    shared: Arc<Shared>,
}

struct Shared {
    client: Client,
    url: Url,
    max_bytes: usize,
    refresh_seconds: u64,
    max_age_seconds: u64,
    clock: Arc<dyn UnixClock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    keys: Option<Arc<KeySet>>,
    fetched_at: u64,
    /// The age at which these keys are fetched anew.
    refresh_seconds: u64,
    last_attempt_at: Option<u64>,
    /// Closes when the fetch under way has ended, however it ended.
    under_way: Option<watch::Receiver<()>>,
    last_failure: Option<JwksError>,
    fetches: u64,
    failures: u64,
}

/// How a JWKS URL is doing, for a readiness endpoint or a metric.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct JwksStatus {
    /// How many usable keys are held.
    pub keys: usize,
    /// When they were fetched, in seconds since the epoch; `None` before the first success.
    pub fetched_at: Option<u64>,
    /// How many fetches have ended.
    pub fetches: u64,
    /// How many of them failed.
    pub failures: u64,
    /// Why the last one failed; `None` when it succeeded.
    pub last_failure: Option<JwksError>,
}

impl Jwks {
    /// Begins a source of keys at this URL.
    pub fn builder(url: impl Into<String>) -> JwksBuilder {
        JwksBuilder {
            url: url.into(),
            timeout: Duration::from_secs(5),
            max_bytes: 1024 * 1024,
            refresh: DEFAULT_REFRESH,
            max_age: DEFAULT_MAX_AGE,
            clock: Arc::new(SystemClock),
        }
    }

    /// Fetches the keys now unless that was tried within 10 seconds; a service calls it before it is ready.
    ///
    /// # Errors
    ///
    /// The last [`JwksError`], when the keys could not be had.
    pub async fn warm_up(&self) -> Result<(), JwksError> {
        self.fetch_and_wait().await;
        let state = self.shared.state();
        match &state.last_failure {
            Some(failure) => Err(failure.clone()),
            None if state.keys.is_none() => Err(JwksError::Interrupted),
            None => Ok(()),
        }
    }

    /// How the URL is doing.
    pub fn status(&self) -> JwksStatus {
        let state = self.shared.state();
        JwksStatus {
            keys: state.keys.as_ref().map_or(0, |keys| keys.len()),
            fetched_at: state.keys.is_some().then_some(state.fetched_at),
            fetches: state.fetches,
            failures: state.failures,
            last_failure: state.last_failure.clone(),
        }
    }

    pub(crate) async fn select(
        &self,
        algorithm: SigningAlgorithm,
        kid: Option<&str>,
    ) -> Result<VerificationKey, AuthError> {
        let keys = match self.usable() {
            Some((keys, is_due)) => {
                if is_due {
                    self.begin_fetch();
                }
                keys
            }
            None => {
                self.fetch_and_wait().await;
                self.usable().ok_or(AuthError::KeysUnavailable)?.0
            }
        };
        match keys.select(algorithm, kid) {
            Err(AuthError::UnknownKey) if kid.is_some() => {}
            selected => return selected.cloned(),
        }
        // The key may be newer than what is held.
        self.fetch_and_wait().await;
        let keys = self.usable().ok_or(AuthError::KeysUnavailable)?.0;
        match keys.select(algorithm, kid) {
            // Whether the key exists cannot be known while the URL is down; a client may try again.
            Err(AuthError::UnknownKey) if self.shared.state().last_failure.is_some() => {
                Err(AuthError::KeysUnavailable)
            }
            selected => selected.cloned(),
        }
    }

    /// The keys, unless they are too old to serve, and whether they are due to be fetched anew.
    fn usable(&self) -> Option<(Arc<KeySet>, bool)> {
        let now = self.shared.clock.now();
        let state = self.shared.state();
        let age = now.saturating_sub(state.fetched_at);
        let keys = state.keys.as_ref().filter(|_| age < self.shared.max_age_seconds)?;
        Some((Arc::clone(keys), age >= state.refresh_seconds))
    }

    async fn fetch_and_wait(&self) {
        if let Some(mut under_way) = self.begin_fetch() {
            // Nothing is ever sent; the error says that the fetch has ended.
            let _ = under_way.changed().await;
        }
    }

    /// Joins the fetch under way, or starts one unless the last start was too short a time ago.
    ///
    /// The fetch is a task of its own: a request that goes away does not take it along.
    fn begin_fetch(&self) -> Option<watch::Receiver<()>> {
        let runtime = Handle::try_current().ok()?;
        let now = self.shared.clock.now();
        let mut state = self.shared.state();
        if let Some(under_way) = &state.under_way {
            return Some(under_way.clone());
        }
        // A clock that was set back must not stop fetching.
        let since = state.last_attempt_at.and_then(|at| now.checked_sub(at));
        if since.is_some_and(|seconds| seconds < MIN_INTERVAL.as_secs()) {
            return None;
        }
        let (ended, under_way) = watch::channel(());
        state.last_attempt_at = Some(now);
        state.under_way = Some(under_way.clone());
        drop(state);
        let flight = Flight { shared: Arc::clone(&self.shared), _ended: ended };
        runtime.spawn(async move {
            let shared = &flight.shared;
            let outcome = fetch(&shared.client, &shared.url, shared.max_bytes).await;
            shared.store(outcome);
        });
        Some(under_way)
    }
}

/// Ends the fetch under way when it is dropped, also when its task is cut off.
struct Flight {
    shared: Arc<Shared>,
    _ended: watch::Sender<()>,
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.shared.state().under_way = None;
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn store(&self, outcome: Result<Fetched, JwksError>) {
        let now = self.clock.now();
        let mut state = self.state();
        state.fetches += 1;
        match outcome {
            Ok(fetched) => {
                let (least, greatest) = REFRESH_BOUNDS;
                state.refresh_seconds = fetched.max_age_seconds.map_or(self.refresh_seconds, |seconds| {
                    seconds.clamp(least.as_secs(), greatest.as_secs())
                });
                state.keys = Some(Arc::new(fetched.keys));
                state.fetched_at = now;
                state.last_failure = None;
            }
            Err(failure) => {
                state.failures += 1;
                state.last_failure = Some(failure);
            }
        }
    }
}

impl fmt::Debug for Jwks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A query may hold a secret.
        f.debug_struct("Jwks").field("host", &self.shared.url.host_str()).finish_non_exhaustive()
    }
}

/// Builds a [`Jwks`].
#[must_use = "a source of keys is made by `build()`"]
pub struct JwksBuilder {
    url: String,
    timeout: Duration,
    max_bytes: usize,
    refresh: Duration,
    max_age: Duration,
    clock: Arc<dyn UnixClock>,
}

impl JwksBuilder {
    /// How long a fetch may take. Defaults to 5 seconds.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The greatest accepted answer, in bytes. Defaults to 1 MiB.
    pub fn max_bytes(mut self, max_bytes: usize) -> Self {
        self.max_bytes = max_bytes;
        self
    }

    /// The age at which keys are fetched anew when the answer has no `max-age`. Defaults to 5 minutes.
    pub fn refresh(mut self, refresh: Duration) -> Self {
        self.refresh = refresh;
        self
    }

    /// The age from which keys that could not be renewed no longer serve. Defaults to 24 hours.
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = max_age;
        self
    }

    /// The clock. Defaults to the system's.
    pub fn clock(mut self, clock: impl UnixClock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Makes the source; nothing is fetched yet.
    ///
    /// # Errors
    ///
    /// - [`IdentityConfigError::InvalidJwksUrl`]: the URL is not `https`, and not `http` on a loopback address;
    ///   or it has a user or a password.
    /// - [`IdentityConfigError::HttpClient`]: the HTTP client could not be made.
    pub fn build(self) -> Result<Jwks, IdentityConfigError> {
        let refused = |reason| IdentityConfigError::InvalidJwksUrl { reason };
        let url = Url::parse(&self.url).map_err(|_| refused("it is not a URL"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refused("it has a user or a password; leave them out"));
        }
        let is_secure = match url.scheme() {
            "https" => true,
            "http" => is_loopback(&url),
            _ => false,
        };
        if !is_secure {
            return Err(refused("use https; http is accepted on a loopback address only"));
        }
        // A redirect could lead to keys of somebody else, and so could a proxy that the environment names: on
        // loopback nothing stands between, and over http nothing would show.
        let client = if is_loopback(&url) { Client::builder().no_proxy() } else { Client::builder() };
        let client = client
            .redirect(reqwest::redirect::Policy::none())
            .https_only(url.scheme() == "https")
            .timeout(self.timeout)
            .build()
            .map_err(|error| IdentityConfigError::HttpClient { reason: error.without_url().to_string() })?;
        let shared = Shared {
            client,
            url,
            max_bytes: self.max_bytes,
            refresh_seconds: self.refresh.as_secs(),
            max_age_seconds: self.max_age.as_secs(),
            clock: self.clock,
            state: Mutex::new(State::default()),
        };
        Ok(Jwks { shared: Arc::new(shared) })
    }
}

impl fmt::Debug for JwksBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwksBuilder")
            .field("timeout", &self.timeout)
            .field("max_bytes", &self.max_bytes)
            .field("refresh", &self.refresh)
            .field("max_age", &self.max_age)
            .finish_non_exhaustive()
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}
