//! Two ledgers in one root, events of two tenants in both, and a service with a dashboard over them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use dataset_events::{
    Code, DatasetEvent, Env, Ledger, LedgerSet, LedgerSetOptions, RequestContext, TenantId, TraceParent,
};
use dataset_events_service::dashboard::{Dashboard, DashboardBuilder};
use dataset_events_service::{Admission, AuthError, Authenticate, BoxFuture, Credentials, Identity};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use scraper::{Html, Selector};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::over_http::{ENV, NamedScope, TestTokens};
use crate::watch::Watch;

pub(crate) const EMPTY: Code = Code::new("orders.empty").status(422);
pub(crate) const BASE: &str = "/internal/dash";

/// [`TestTokens`], whose tokens expire when the test says so.
#[derive(Clone, Default)]
pub(crate) struct Expiring(pub(crate) Arc<AtomicBool>);

impl Authenticate for Expiring {
    fn authenticate<'a>(
        &'a self,
        credentials: Credentials<'a>,
    ) -> BoxFuture<'a, Result<Identity, AuthError>> {
        match self.0.load(Ordering::Relaxed) {
            true => Box::pin(async { Err(AuthError::Expired) }),
            false => TestTokens.authenticate(credentials),
        }
    }
}

pub(crate) struct Stage {
    pub(crate) root: TempDir,
    pub(crate) orders: Ledger,
    pub(crate) payments: Ledger,
    watch: Watch,
    pub(crate) expired: Expiring,
    pub(crate) dashboard: Dashboard,
    pub(crate) client: Client,
    addr: SocketAddr,
}

fn open(root: &TempDir, service: &str) -> Ledger {
    Ledger::options().root(root.path()).service(service, "1.0.0").journal_bytes(4 << 20).open().unwrap()
}

impl Stage {
    pub(crate) async fn new() -> Self {
        Self::with(|builder| builder).await
    }

    pub(crate) async fn with(configure: impl FnOnce(DashboardBuilder) -> DashboardBuilder) -> Self {
        Self::over(|options| options, configure).await
    }

    /// A service whose dashboard is nested two levels deep, over more than its own ledgers.
    pub(crate) async fn over(
        more: impl FnOnce(LedgerSetOptions) -> LedgerSetOptions,
        configure: impl FnOnce(DashboardBuilder) -> DashboardBuilder,
    ) -> Self {
        let root = tempfile::tempdir().unwrap();
        let (orders, payments) = (open(&root, "orders"), open(&root, "payments"));
        let set = LedgerSet::options().ledger(&orders).ledger(&payments).root(root.path());
        let set = more(set).open();
        let dashboard = configure(Dashboard::builder(set).base_path(BASE)).build().unwrap();
        let expired = Expiring::default();
        let admission =
            Admission::builder(&orders).authenticate(expired.clone()).resolve_scope(NamedScope).env(ENV);
        let nested = Router::new().nest("/dash", dashboard.mount(&admission.build().unwrap()));
        let router = Router::new().nest("/internal", nested);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let client = Client::builder().redirect(Policy::none()).build().unwrap();
        let watch = Watch::new([&orders, &payments]);
        Self { watch, root, orders, payments, expired, dashboard, client, addr }
    }

    /// Events of a tenant: in `orders` one call with a child in `payments` in the same trace, then a failure.
    pub(crate) fn seed(&self, tenant: &'static str) -> Seeded {
        let ctx = context(&self.orders, tenant);
        ctx.event("orders.place")
            .input("note", &format!("cart of {tenant}"))
            .change("status", "cart", "placed")
            .source_ref("cart", 7)
            .record()
            .unwrap();
        let parent = TraceParent::new(ctx.trace_id(), self.orders.new_span_id(), true);
        let other =
            self.payments.context(tenant, "test").user_id("u_ada").traceparent(parent).build().unwrap();
        other.event("payments.charge").output("receipt", "r-1").record().unwrap();
        ctx.event("orders.place").code(EMPTY).record().unwrap();
        self.flush();
        Seeded { trace_id: ctx.trace_id().to_string(), events: self.events(tenant) }
    }

    pub(crate) fn flush(&self) {
        self.orders.flush().unwrap();
        self.payments.flush().unwrap();
        self.watch.refresh();
    }

    /// All events of a tenant in both ledgers, by time, as the ledgers give them.
    pub(crate) fn events(&self, tenant: &'static str) -> Vec<DatasetEvent> {
        self.flush();
        let set = LedgerSet::options().ledger(&self.orders).ledger(&self.payments).open();
        let scope = set.scope(&TenantId::from_static(tenant), &Env::from_static("test"));
        scope.events().iter().unwrap().map(|event| event.unwrap().event).collect()
    }

    pub(crate) fn reads(&self, tenant: &'static str) -> Vec<DatasetEvent> {
        let mut events = self.events(tenant);
        events.retain(|event| event.surface == "ledger.read");
        events
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{BASE}{path}", self.addr)
    }

    /// Gets a path as a tenant's user.
    pub(crate) async fn get(&self, tenant: &str, path: &str) -> Response {
        self.client.get(self.url(path)).bearer_auth(format!("{tenant}~u_ada")).send().await.unwrap()
    }

    pub(crate) async fn page(&self, tenant: &str, path: &str) -> String {
        let answer = self.get(tenant, path).await;
        let status = answer.status().as_u16();
        let page = answer.text().await.unwrap();
        assert_eq!(status, 200, "{path}: {page}");
        page
    }

    pub(crate) async fn json(&self, tenant: &str, path: &str) -> Value {
        let answer = self.get(tenant, path).await;
        assert_eq!(answer.status(), 200, "{path}");
        answer.json().await.unwrap()
    }
}

pub(crate) struct Seeded {
    pub(crate) trace_id: String,
    pub(crate) events: Vec<DatasetEvent>,
}

impl Seeded {
    pub(crate) fn place(&self, at: usize) -> String {
        dataset_events::EventPlace::of(&self.events[at]).to_string()
    }
}

pub(crate) fn context(ledger: &Ledger, tenant: &str) -> RequestContext {
    ledger.context(tenant, "test").user_id("u_ada").build().unwrap()
}

/// The text of each element that a selector finds, white space as one blank.
pub(crate) fn texts(page: &str, selector: &str) -> Vec<String> {
    let page = Html::parse_document(page);
    let selector = Selector::parse(selector).unwrap();
    let found = page
        .select(&selector)
        .map(|element| element.text().collect::<String>().split_whitespace().collect::<Vec<_>>().join(" "));
    found.collect()
}

pub(crate) fn hrefs(page: &str, selector: &str) -> Vec<String> {
    let page = Html::parse_document(page);
    let selector = Selector::parse(selector).unwrap();
    page.select(&selector).filter_map(|element| element.attr("href").map(str::to_owned)).collect()
}
