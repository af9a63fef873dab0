//! What is looked at: the gateway with its dashboard, and beside it what the gateway does not have, a dashboard for
//! operators and one whose page takes long.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use dataset_events::{DatasetEvent, Env, EventPlace, Ledger, LedgerSet, TenantId};
use dataset_events_service::dashboard::{Block, Cell, Dashboard, Panel, PanelError, PanelRequest, Tile};
use dataset_events_service::identity::{DefaultScope, EnvSource, Jwks, JwtAuthenticator};
use dataset_events_service::{Admission, Identity};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::browser::{Browser, with_browser};
use crate::services_common::World;
use crate::services_common::issuer::{claims, now, with};
use crate::workload;

/// The scope that has everything.
pub(crate) const TENANT: &str = "acme";
pub(crate) const ENV: &str = "prod";
/// The user who looks at every scope.
const OPERATOR: &str = "ops_root";
/// Seconds for which an authenticator takes a token that has expired.
const LEEWAY: u64 = 30;

/// A panel that does not come to an end before it is let.
struct Slow {
    may_end: Arc<AtomicBool>,
}

impl Panel for Slow {
    fn id(&self) -> &str {
        "slow"
    }

    fn title(&self) -> &str {
        "Slow"
    }

    fn render(&self, _: &PanelRequest<'_>) -> Result<Vec<Block>, PanelError> {
        while !self.may_end.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(vec![Block::tiles([Tile::new("At last", Cell::count(1))])])
    }
}

/// Services with a day's work behind them.
pub(crate) struct Stage {
    pub(crate) world: World,
    /// Where the operators' dashboard is.
    pub(crate) operators: String,
    /// Where the dashboard with the slow page is.
    pub(crate) slow: String,
    /// Lets the slow page come to its end.
    pub(crate) may_end: Arc<AtomicBool>,
    beside: JoinHandle<()>,
}

/// Runs a test with the services and a browser.
pub(crate) async fn with_stage(test: impl AsyncFnOnce(&Stage, &Browser)) {
    let stage = Stage::start().await;
    with_browser(async |browser| test(&stage, browser).await).await;
    stage.end().await;
}

impl Stage {
    async fn start() -> Self {
        let world = World::start().await;
        workload::day(&world, TENANT, ENV).await;
        workload::hour(&world, "globex", ENV).await;
        let may_end = Arc::new(AtomicBool::new(false));
        let router = beside(&world, &may_end);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let beside = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("serves until the test ends");
        });
        let (operators, slow) = (format!("{url}/operators"), format!("{url}/slow"));
        let stage = Self { world, operators, slow, may_end, beside };
        stage.flush().await;
        stage
    }

    async fn end(self) {
        self.may_end.store(true, Ordering::Relaxed);
        self.beside.abort();
        // What it held of the gateway's ledger is to be gone when the gateway closes it.
        let _ = self.beside.await;
        self.world.end().await;
    }

    /// Makes what was recorded readable.
    pub(crate) async fn flush(&self) {
        let ledgers = [self.world.gateway.ledger().clone(), self.world.engines.ledger().clone()];
        let flushed = tokio::task::spawn_blocking(move || ledgers.iter().try_for_each(Ledger::flush));
        flushed.await.expect("not cancelled").expect("flush");
    }

    /// An address of the gateway's dashboard.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}/dashboard{path}", self.world.gateway.url())
    }

    pub(crate) fn token(&self, tenant: &str, user: &str) -> String {
        self.world.issuer.token(tenant, ENV, user)
    }

    /// A token that is good for so many seconds more.
    pub(crate) fn token_for(&self, tenant: &str, user: &str, seconds: u64) -> String {
        let claims = with(claims(tenant, ENV, user), "nbf", (now() - 600).into());
        let claims = with(claims, "iat", (now() - 600).into());
        let claims = with(claims, "exp", (now() + seconds - LEEWAY).into());
        self.world.issuer.ed25519.token(&claims)
    }

    /// Signs in by the link, as the main job prints it.
    pub(crate) async fn sign_in(&self, browser: &Browser, tenant: &str, user: &str) {
        let link = self.url(&format!("/sign-in?token={}", self.token(tenant, user)));
        assert_eq!(browser.open(&link).await, 200);
    }

    /// Signs the operator in where operators are known.
    pub(crate) async fn sign_in_operator(&self, browser: &Browser) {
        let token = self.token("operations", OPERATOR);
        assert_eq!(browser.open(&format!("{}/sign-in?token={token}", self.operators)).await, 200);
    }

    /// The events of a tenant in both ledgers, the oldest first, as the library reads them.
    pub(crate) async fn events(&self, tenant: &str) -> Vec<DatasetEvent> {
        self.flush().await;
        let set = LedgerSet::of(self.world.gateway.ledger());
        let scope = set.scope(&TenantId::new(tenant).expect("a tenant"), &Env::from_static(ENV));
        let read = tokio::task::spawn_blocking(move || {
            let events = scope.events().iter().expect("readable");
            events.map(|event| event.expect("an event").event).collect()
        });
        read.await.expect("read")
    }

    /// The address of an event that fits, the newest one.
    pub(crate) async fn event_path(&self, tenant: &str, fits: impl Fn(&DatasetEvent) -> bool) -> String {
        let events = self.events(tenant).await;
        let event = events.iter().rev().find(|event| fits(event)).expect("an event that fits");
        format!("/events/{}", EventPlace::of(event))
    }

    /// The address of the trace that has the most events.
    pub(crate) async fn trace_path(&self, tenant: &str) -> String {
        let mut by_trace = std::collections::BTreeMap::<String, usize>::new();
        for event in self.events(tenant).await {
            *by_trace.entry(event.trace_id.to_string()).or_default() += 1;
        }
        let longest = by_trace.into_iter().max_by_key(|(_, events)| *events).expect("a trace");
        format!("/traces/{}", longest.0)
    }
}

/// Two more dashboards over the gateway's set of ledgers.
fn beside(world: &World, may_end: &Arc<AtomicBool>) -> Router {
    let ledger = world.gateway.ledger();
    let keys = world.issuer.user_keys();
    let users = JwtAuthenticator::builder()
        .issuer(&keys.issuer)
        .audience(&keys.audience)
        .jwks(Jwks::builder(&keys.jwks_url).build().expect("keys"))
        .env_claim("env")
        .build()
        .expect("an authenticator");
    let admission = Admission::builder(ledger)
        .authenticate(users)
        .env(Env::from_static(ENV))
        .resolve_scope(DefaultScope::new().env_source(EnvSource::Identity))
        .build()
        .expect("an admission layer");
    let is_operator =
        |identity: &Identity| identity.user_id.as_ref().is_some_and(|user| user.as_str() == OPERATOR);
    let operators = Dashboard::builder(LedgerSet::of(ledger)).base_path("/operators").operators(is_operator);
    let slow = Dashboard::builder(LedgerSet::of(ledger))
        .base_path("/slow")
        .panel(Slow { may_end: Arc::clone(may_end) })
        .patience(Duration::from_millis(200));
    let (operators, slow) = (operators.build().expect("a dashboard"), slow.build().expect("a dashboard"));
    Router::new().nest("/operators", operators.mount(&admission)).nest("/slow", slow.mount(&admission))
}
