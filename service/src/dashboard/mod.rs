//! The dashboard: pages and a JSON API over a tenant's events, computed from the ledgers and nothing else.
//!
//! What it shows, how it is mounted, and what it keeps to: `docs/dashboard.md`.
//!
//! ```no_run
//! use dataset_events::{Env, Ledger, LedgerSet};
//! use dataset_events_service::dashboard::Dashboard;
//! use dataset_events_service::{Admission, StaticTokens};
//!
//! let ledger = Ledger::options().root("var/orders").service("orders", "1.0.0").open()?;
//! let admission = Admission::builder(&ledger)
//!     .authenticate(StaticTokens::from_file("dev-tokens")?)
//!     .env(Env::from_static("prod"))
//!     .build()?;
//! let dashboard = Dashboard::builder(LedgerSet::of(&ledger))
//!     .base_path("/dashboard")
//!     .snapshots("var/dashboard")
//!     .build()?;
//! let router: axum::Router = axum::Router::new().nest("/dashboard", dashboard.mount(&admission));
//! # let _ = router;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

mod audit;
mod blocks;
mod builder;
mod desk;
mod digest;
mod error;
mod format;
mod html;
mod listed;
mod models;
mod open_routes;
mod panel;
mod routes;
mod session;
mod shell;
mod site;
mod viewer;
mod views;
mod window;

use std::fmt;
use std::sync::Arc;

use axum::Router;
use dataset_events::{LedgerSet, RequestContext, SetOperator};
use http::HeaderMap;

pub use blocks::{
    Bar, BarChart, Block, Cell, Column, Corridor, EventField, LinePlot, Point, Series, Table, Threshold,
    Tile, TimeBar, TimeBars, Timeline, TimelineEntry, Tone,
};
pub use builder::{DashboardBuilder, DashboardError as DashboardConfigError};
pub use panel::{Panel, PanelAnswer, PanelError, PanelRequest, render_panel};
pub use shell::{DashboardShell, DashboardShellService};
pub use viewer::{NoOperators, OperatorAuthority};

use crate::admission::Admission;
use desk::Desks;
use error::DashboardError;
use site::Site;

/// The dashboard of a ledger set, ready to be mounted. Clones share what was read.
#[derive(Clone)]
pub struct Dashboard {
    inner: Arc<Inner>,
}

/// What the routes share.
struct Inner {
    set: LedgerSet,
    site: Site,
    panels: Arc<Vec<Box<dyn Panel>>>,
    desks: Desks,
    authority: Box<dyn OperatorAuthority>,
    secure_cookie: Option<bool>,
}

impl Inner {
    /// A reader of all scopes; that it was opened, and by whom, is an event of `$system`.
    fn operator(&self, ctx: &RequestContext, what: &str) -> Result<SetOperator, DashboardError> {
        let who = ctx.auth_subject().map(|subject| subject.to_string()).unwrap_or_default();
        let reason = format!("dashboard: {who} of {} {what}; request {}", ctx.scope(), ctx.request_id());
        self.set.operator(&reason).map_err(|_| DashboardError::Unrecorded)
    }

    fn is_secure(&self, headers: &HeaderMap) -> bool {
        self.secure_cookie.unwrap_or_else(|| !session::is_loopback(headers))
    }
}

impl Dashboard {
    /// Begins a dashboard over these ledgers. An own ledger among them records an operator's reading.
    pub fn builder(set: LedgerSet) -> DashboardBuilder {
        DashboardBuilder::new(set)
    }

    /// The complete router: pages, JSON, assets and session behind an admission layer of its own.
    ///
    /// Nest it at the base path, or merge it where that is empty. It is to get no other admission layer.
    pub fn mount(&self, admission: &Admission) -> Router {
        let shell = DashboardShell::new(self.inner.site.clone(), false, self.inner.secure_cookie);
        self.router().layer(admission.clone()).merge(self.open_router()).layer(shell)
    }

    /// [`mount`](Self::mount), nested at the base path already: to be merged. It answers at the base with a slash
    /// behind it too, which a router that is nested cannot, and leads to the page without.
    pub fn nested(&self, admission: &Admission) -> Router {
        let mounted = self.mount(admission);
        let base = self.inner.site.base.clone();
        if base.is_empty() {
            return mounted;
        }
        let shell = DashboardShell::new(self.inner.site.clone(), true, self.inner.secure_cookie);
        let slash = format!("{base}/");
        let led = Router::new().route(&slash, axum::routing::any(routes::nothing)).layer(shell);
        Router::new().nest(&base, mounted).merge(led)
    }

    /// The routes as Markdown, as they are below a base path: who may call them, and the codes that they answer.
    pub fn routes_markdown(base: &str) -> String {
        routes::markdown(base)
    }

    /// The pages and the JSON, for a service that has one admission layer around all its routes.
    ///
    /// The order, from the inside: routes with this router nested at the base path; the admission layer; merged
    /// with [`open_router`](Self::open_router), nested likewise; [`shell`](Self::shell) around all.
    pub fn router(&self) -> Router {
        routes::admitted().with_state(Arc::clone(&self.inner))
    }

    /// What everybody reaches: the style, the script, signing in and out.
    pub fn open_router(&self) -> Router {
        open_routes::open().with_state(Arc::clone(&self.inner))
    }

    /// The layer that goes around the admission layer of the whole service.
    pub fn shell(&self) -> DashboardShell {
        DashboardShell::new(self.inner.site.clone(), true, self.inner.secure_cookie)
    }

    /// The path of the link that signs a browser in with a token, below the host.
    pub fn sign_in_path(&self, token: &str) -> String {
        self.inner.site.href(&format!("/sign-in?token={}", format::in_query(token)))
    }

    /// Writes snapshots of all states that are not in one: before the process ends. Blocks.
    pub fn save_snapshots(&self) {
        self.inner.desks.save();
    }
}

impl fmt::Debug for Dashboard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dashboard")
            .field("set", &self.inner.set)
            .field("site", &self.inner.site)
            .finish_non_exhaustive()
    }
}
