//! The bossman: a tenant's own dashboard, folded from the events of its scope and from nothing else.
//!
//! It reads the ledger of this process, and those of other processes by their directories, so that the
//! dashboard of one service shows what the others recorded for the same tenant. Each is read in the scope of
//! the request context. States are kept between calls and folded on, so that a call costs what is new, not
//! what there is. Reading blocks on files, so it runs on tokio's blocking threads. What this process recorded
//! is seen once it is durable, some 50 ms after the call; [`Ledger::flush`] waits for that.
//!
//! Its own calls are events of the same scope. The views leave them out; [`events`](Bossman::events),
//! [`trace`](Bossman::trace) and [`ledgers`](Bossman::ledgers) show them, because who looked is worth knowing.
//! The shapes of the answers are in `docs/bossman.md`.

mod asked;
mod boards;
mod error;
mod listed;
mod model;
mod shown;
mod tree;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use dataset_events::read_models::{Folded, SnapshotStore};
use dataset_events::{Ledger, LedgerId, LedgerSet, LedgerSetOptions, RequestContext, Unread, dataset_event};

use super::blocking::blocking;
use crate::read_models::{Board, BudgetView, ControlsView, KpisView, TemperatureView};
pub use crate::read_models::{
    CodeCount, Counts, Failure, HourCount, MAX_WINDOW_US, Span, SurfaceCount, Window,
};
use asked::{require, require_limit};
use boards::Boards;
pub use error::BossmanError;
pub use model::{
    Activities, Condition, EventEntry, EventFilter, EventPage, Freshness, LATEST_FAILURES, LedgerHead,
    LedgerRow, LedgersView, MAX_PAGE, MAX_TRACE_DEPTH, MAX_TRACE_EVENTS, Month, Overview, PageRequest, Shown,
    SinkRow, Trace, TraceNode, UnreadLedger,
};
use shown::name;

/// The dashboard of the tenants. Clones share what was read.
#[derive(Debug, Clone)]
pub struct Bossman {
    own: LedgerId,
    options: LedgerSetOptions,
    set: LedgerSet,
    boards: Arc<Boards>,
    refuses_parts: bool,
}

impl Bossman {
    /// Reads the ledger of this process.
    pub fn new(ledger: Ledger) -> Self {
        let options = LedgerSet::options().ledger(&ledger);
        let boards = Arc::new(Boards::new(None));
        Self { own: ledger.id(), set: options.clone().open(), options, boards, refuses_parts: false }
    }

    /// Reads this ledger of another process too: its own directory, `<root>/<ledger id>`.
    pub fn with_ledger(self, directory: impl AsRef<Path>) -> Self {
        let options = self.options.clone().directory(directory);
        self.reading(options)
    }

    /// Reads all other ledgers of a root too; which there are is looked up at each read.
    pub fn with_root(self, root: impl AsRef<Path>) -> Self {
        let options = self.options.clone().root(root);
        self.reading(options)
    }

    /// Keeps snapshots of what was folded in a directory, so that the next start does not fold it again.
    ///
    /// # Errors
    ///
    /// When the directory cannot be made.
    pub fn with_snapshots(self, directory: impl AsRef<Path>) -> io::Result<Self> {
        let boards = Arc::new(Boards::new(Some(SnapshotStore::open(directory)?)));
        Ok(Self { boards, ..self })
    }

    /// Whether a view fails with `bossman.ledger_unreadable` where a ledger could not be read. By default it
    /// shows what could, and says in `is_complete` and `unread` that it is a part.
    #[must_use]
    pub fn refusing_parts(self, refuses_parts: bool) -> Self {
        Self { refuses_parts, ..self }
    }

    /// Writes snapshots of all states that are not in one, if there is a directory for them: before the process
    /// ends. Blocks.
    pub fn save_snapshots(&self) {
        self.boards.save();
    }

    fn reading(self, options: LedgerSetOptions) -> Self {
        let boards = Arc::new(Boards::new(self.boards.store().cloned()));
        Self { set: options.clone().open(), options, boards, ..self }
    }

    /// Whether what was read may be shown.
    fn may_show(&self, unread: &[Unread]) -> Result<(), BossmanError> {
        if self.refuses_parts { BossmanError::if_unread(unread) } else { Ok(()) }
    }

    /// What happened in the scope within a window: counts, failures, how far the ledgers were read.
    ///
    /// # Errors
    ///
    /// - `bossman.invalid_window`: the window is empty, or longer than [`MAX_WINDOW_US`].
    /// - `bossman.ledger_unreadable`: a ledger could not be read, and parts are refused.
    #[dataset_event(
        surface = "bossman.overview",
        access = "read",
        input(since_us = window.since_us, until_us = window.until_us),
        output(events = ret.totals.events, ledgers = ret.freshness.ledgers.len(), unread = ret.freshness.unread.len()),
    )]
    pub async fn overview(&self, ctx: &RequestContext, window: Window) -> Result<Overview, BossmanError> {
        require(window)?;
        let shown = self.show(ctx, move |folded, _| {
            let calls = &folded.state().calls;
            let (span, counts) = calls.counts(window);
            (span, counts, calls.hours(window), calls.failures(span, LATEST_FAILURES))
        });
        let Shown { tenant_id, env, as_of_us, freshness, view } = shown.await?;
        let (span, counts, by_hour, latest_failures) = view;
        Ok(Overview {
            tenant_id,
            env,
            window,
            span,
            as_of_us,
            freshness,
            totals: counts.totals(),
            by_surface: counts.surfaces(),
            by_code: counts.codes(),
            by_hour,
            latest_failures,
        })
    }

    /// What may be spent in a month, what was spent, by whom it was earned, what is left; beside it a window.
    ///
    /// A month is `YYYY-MM`; without one it is that of now (UTC).
    ///
    /// # Errors
    ///
    /// - `bossman.invalid_month`: the text is no month.
    /// - `bossman.invalid_window`, `bossman.ledger_unreadable`: as [`overview`](Self::overview).
    #[dataset_event(
        surface = "bossman.budget",
        access = "read",
        input(has_month = asked.is_some(), since_us = window.since_us, until_us = window.until_us),
        output(month = ret.view.month, spent = ret.view.spent, ledgers = ret.freshness.ledgers.len(), unread = ret.freshness.unread.len()),
    )]
    pub async fn budget(
        &self,
        ctx: &RequestContext,
        asked: Option<&str>,
        window: Window,
    ) -> Result<Shown<BudgetView>, BossmanError> {
        require(window)?;
        let month = asked.map(str::parse::<Month>).transpose()?;
        let shown = self.show(ctx, move |folded, as_of_us| {
            let month = month.unwrap_or_else(|| Month::of(as_of_us));
            folded.state().budget.view(month.as_str(), window)
        });
        shown.await
    }

    /// The temperature now, its bounds, the newest `limit` snapshots and breaches (1 to [`MAX_PAGE`]), and
    /// what was counted in a window.
    ///
    /// # Errors
    ///
    /// - `bossman.invalid_page`: `limit` is 0 or too large.
    /// - `bossman.invalid_window`, `bossman.ledger_unreadable`: as [`overview`](Self::overview).
    #[dataset_event(
        surface = "bossman.temperature",
        access = "read",
        input(since_us = window.since_us, until_us = window.until_us, limit),
        output(count = ret.view.recent.len(), ledgers = ret.freshness.ledgers.len(), unread = ret.freshness.unread.len()),
    )]
    pub async fn temperature(
        &self,
        ctx: &RequestContext,
        window: Window,
        limit: u32,
    ) -> Result<Shown<TemperatureView>, BossmanError> {
        require(window)?;
        let limit = require_limit(limit)?;
        self.show(ctx, move |folded, _| folded.state().temperature.view(window, limit)).await
    }

    /// Each KPI with its corridor, its latest reading against it, and its latest `limit` readings (1 to
    /// [`MAX_PAGE`]).
    ///
    /// # Errors
    ///
    /// - `bossman.invalid_page`: `limit` is 0 or too large.
    /// - `bossman.ledger_unreadable`: a ledger could not be read, and parts are refused.
    #[dataset_event(
        surface = "bossman.kpi",
        access = "read",
        input(limit),
        output(count = ret.view.kpis.len(), ledgers = ret.freshness.ledgers.len(), unread = ret.freshness.unread.len()),
    )]
    pub async fn kpi(&self, ctx: &RequestContext, limit: u32) -> Result<Shown<KpisView>, BossmanError> {
        let limit = require_limit(limit)?;
        self.show(ctx, move |folded, _| folded.state().kpi.view(limit)).await
    }

    /// Kill switches, strategy locks, and the latest `limit` changes of any control (1 to [`MAX_PAGE`]).
    ///
    /// # Errors
    ///
    /// - `bossman.invalid_page`: `limit` is 0 or too large.
    /// - `bossman.ledger_unreadable`: a ledger could not be read, and parts are refused.
    #[dataset_event(
        surface = "bossman.controls",
        access = "read",
        input(limit),
        output(
            engaged = ret.view.engaged,
            in_force = ret.view.in_force,
            changes = ret.view.changes.len(),
            ledgers = ret.freshness.ledgers.len(), unread = ret.freshness.unread.len(),
        ),
    )]
    pub async fn controls(
        &self,
        ctx: &RequestContext,
        limit: u32,
    ) -> Result<Shown<ControlsView>, BossmanError> {
        let limit = require_limit(limit)?;
        self.show(ctx, move |folded, _| folded.state().controls.view(limit)).await
    }

    /// What was done in chat, with media and with vectors in a window, and the latest `limit` writes of each
    /// (1 to [`MAX_PAGE`]; 50 are kept).
    ///
    /// # Errors
    ///
    /// - `bossman.invalid_page`: `limit` is 0 or too large.
    /// - `bossman.invalid_window`, `bossman.ledger_unreadable`: as [`overview`](Self::overview).
    #[dataset_event(
        surface = "bossman.activity",
        access = "read",
        input(since_us = window.since_us, until_us = window.until_us, limit),
        output(ledgers = ret.freshness.ledgers.len(), unread = ret.freshness.unread.len()),
    )]
    pub async fn activity(
        &self,
        ctx: &RequestContext,
        window: Window,
        limit: u32,
    ) -> Result<Shown<Activities>, BossmanError> {
        require(window)?;
        let limit = require_limit(limit)?;
        let shown = self.show(ctx, move |folded, _| {
            let state = folded.state();
            Activities {
                window,
                chat: state.chat.view(window, limit),
                media: state.media.view(window, limit),
                vector: state.vector.view(window),
            }
        });
        shown.await
    }

    /// The ledgers that hold the scope's events, the newest `limit` (1 to [`MAX_PAGE`]): how they are, how far
    /// each was read, what each lost. Beside them the sinks that this process forwards to.
    ///
    /// It is shown also by a dashboard that refuses parts: it says which ledger cannot be read.
    ///
    /// # Errors
    ///
    /// - `bossman.invalid_page`: `limit` is 0 or too large.
    /// - `bossman.ledger_unreadable`: the runtime is shutting down.
    #[dataset_event(
        surface = "bossman.ledgers",
        access = "read",
        input(limit),
        output(count = ret.view.ledgers.len(), unreadable = ret.view.unreadable.len()),
    )]
    pub async fn ledgers(
        &self,
        ctx: &RequestContext,
        limit: u32,
    ) -> Result<Shown<LedgersView>, BossmanError> {
        let limit = require_limit(limit)?;
        let (bossman, scope) = (self.clone(), ctx.scope().clone());
        let read = off(move || {
            bossman.boards.read(&bossman.set, &scope, |folded, unread| {
                let unreadable = unread.iter().map(|unread| unread.ledger_id).collect();
                let mut ledgers = bossman.rows(folded, unread.iter().filter_map(|unread| unread.ledger_id));
                let total = ledgers.len() as u64;
                // Ids of ledgers are in the order of their making.
                ledgers.drain(..ledgers.len().saturating_sub(limit));
                let view = LedgersView { total, ledgers, unreadable, sinks: bossman.sinks() };
                Ok(bossman.shown(&scope, folded, now_us(), view))
            })
        });
        let shown = read.await?;
        name(&shown.freshness);
        Ok(shown)
    }

    /// A view of the context's scope, folded up to now, which says what it lacks.
    async fn show<T: Send + 'static>(
        &self,
        ctx: &RequestContext,
        view: impl FnOnce(&Folded<Board>, i64) -> T + Send + 'static,
    ) -> Result<Shown<T>, BossmanError> {
        let (bossman, scope) = (self.clone(), ctx.scope().clone());
        let read = off(move || {
            let as_of_us = now_us();
            bossman.boards.read(&bossman.set, &scope, |folded, unread| {
                bossman.may_show(unread)?;
                Ok(bossman.shown(&scope, folded, as_of_us, view(folded, as_of_us)))
            })
        });
        let shown = read.await?;
        name(&shown.freshness);
        Ok(shown)
    }
}

fn now_us() -> i64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_1970.as_micros()).unwrap_or(i64::MAX)
}

/// Runs `body` off the executor's threads.
async fn off<T: Send + 'static>(
    body: impl FnOnce() -> Result<T, BossmanError> + Send + 'static,
) -> Result<T, BossmanError> {
    let ended = blocking(body).await;
    ended.ok_or_else(|| BossmanError::unreadable("the ledgers", "the runtime is shutting down"))?
}
