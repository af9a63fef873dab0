//! Liveness and readiness, for what restarts a service and what sends requests to it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use dataset_events::{Health, Ledger};
use http::StatusCode;
use serde::Serialize;

use crate::identity::BoxFuture;

type Check = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// The checks of a service: its ledger, the ledger's index, and the program's own.
///
/// `/healthz` answers 200 as long as the process answers at all. `/readyz` answers 200 when every check holds,
/// else 503, with each check in JSON either way. A service that was told to stop is not ready, when
/// [`ServeOptions::health`](crate::ServeOptions::health) knows these checks.
#[derive(Clone)]
pub struct HealthChecks {
    ledger: Ledger,
    checks: Vec<(String, Check)>,
    timeout: Duration,
    /// Shared by all clones.
    is_stopping: Arc<AtomicBool>,
}

#[derive(Serialize)]
struct Report {
    status: &'static str,
    checks: BTreeMap<String, Outcome>,
}

#[derive(Serialize)]
struct Outcome {
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl From<Result<(), String>> for Outcome {
    fn from(result: Result<(), String>) -> Self {
        Self { ok: result.is_ok(), reason: result.err() }
    }
}

impl HealthChecks {
    /// Checks of a ledger and its index.
    pub fn new(ledger: &Ledger) -> Self {
        Self {
            ledger: ledger.clone(),
            checks: Vec::new(),
            timeout: Duration::from_secs(2),
            is_stopping: Arc::default(),
        }
    }

    /// Adds a check of the program's own. What it says is shown to whoever can reach `/readyz`.
    #[must_use]
    pub fn check<F, R>(mut self, name: impl Into<String>, check: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.checks.push((name.into(), Arc::new(move || Box::pin(check()))));
        self
    }

    /// How long each check of the program's own may take. Defaults to 2 seconds.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The routes `/healthz` and `/readyz`.
    ///
    /// Merge them into the router after the admission layer, or serve them on a port of their own; behind the
    /// layer name both as public. A router that is merged needs a fallback of its own: see
    /// [`route_not_found`](crate::route_not_found).
    pub fn router<S: Clone + Send + Sync + 'static>(self) -> Router<S> {
        let live = || async { axum::Json(Report { status: "live", checks: BTreeMap::new() }) };
        let ready = move || async move { self.ready().await };
        Router::new().route("/healthz", get(live)).route("/readyz", get(ready))
    }

    /// From now on the service is not ready.
    pub(crate) fn stop(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }

    async fn ready(&self) -> Response {
        let mut checks = BTreeMap::new();
        checks.insert("ledger".to_owned(), Outcome::from(self.ledger_health()));
        checks.insert("index".to_owned(), Outcome::from(self.index_health()));
        if self.is_stopping.load(Ordering::Relaxed) {
            checks.insert("service".to_owned(), Outcome::from(Err("stopping".to_owned())));
        }
        let own = self.checks.iter().map(|(name, check)| async move {
            let outcome = match tokio::time::timeout(self.timeout, check()).await {
                Ok(outcome) => outcome,
                Err(_) => Err(format!("no answer in {} s", self.timeout.as_secs_f64())),
            };
            (name.clone(), Outcome::from(outcome))
        });
        checks.extend(futures::future::join_all(own).await);
        let is_ready = checks.values().all(|outcome| outcome.ok);
        let (status, text) =
            if is_ready { (StatusCode::OK, "ready") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready") };
        (status, axum::Json(Report { status: text, checks })).into_response()
    }

    /// Without the reason of a failure: it names files.
    fn ledger_health(&self) -> Result<(), String> {
        match self.ledger.health() {
            Health::Green => Ok(()),
            Health::Shedding => Err("shedding: the journal is full".to_owned()),
            Health::Closed => Err("closed".to_owned()),
            _ => Err("failed: a write or an fsync failed; open the ledger again".to_owned()),
        }
    }

    fn index_health(&self) -> Result<(), String> {
        if self.ledger.index_health().is_ok {
            return Ok(());
        }
        Err("failing: reads scan the log instead; it is tried again".to_owned())
    }
}

impl fmt::Debug for HealthChecks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.checks.iter().map(|(name, _)| name).collect();
        f.debug_struct("HealthChecks").field("checks", &names).finish_non_exhaustive()
    }
}
