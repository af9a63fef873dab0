//! The bossman: a tenant's own dashboard, read from the events of its scope and from nothing else.
//!
//! It reads the ledger of this process, and those of other processes by their directories, so that the
//! dashboard of one service shows what the others recorded for the same tenant. Each is read in the scope of
//! the request context. Reading blocks on files and takes time in proportion to the events read, so it runs
//! on tokio's blocking threads. What this process recorded is seen once it is durable, some 50 ms after the
//! call; [`Ledger::flush`] waits for that.
//!
//! Its own calls are events of the same scope. [`overview`](Bossman::overview) leaves them out;
//! [`events`](Bossman::events) and [`trace`](Bossman::trace) show them, because who looked is worth knowing.

mod error;
mod fold;
mod ledgers;
mod model;
mod tree;

use std::cmp::Reverse;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use dataset_events::{Ledger, RequestContext, Scope, StoredEvent, TraceId, current, dataset_event};

use super::blocking::blocking;
pub use error::BossmanError;
use fold::Fold;
use ledgers::{Ledgers, Opened};
use model::Place;
pub use model::{
    CodeCount, Counts, EventEntry, EventFilter, EventPage, Failure, Freshness, HourCount, LATEST_FAILURES,
    LedgerHead, MAX_PAGE, MAX_TRACE_DEPTH, MAX_TRACE_EVENTS, MAX_WINDOW_US, Overview, PageRequest,
    SurfaceCount, Trace, TraceNode, Window,
};

/// The dashboard of the tenants.
#[derive(Debug, Clone)]
pub struct Bossman {
    ledgers: Ledgers,
}

impl Bossman {
    /// Reads the ledger of this process.
    pub fn new(ledger: Ledger) -> Self {
        Self { ledgers: Ledgers::new(ledger) }
    }

    /// Reads this ledger of another process too: its own directory, `<root>/<ledger id>`.
    pub fn with_ledger(mut self, directory: impl AsRef<Path>) -> Self {
        self.ledgers.add(directory.as_ref().to_owned());
        self
    }

    /// Reads all other ledgers of a root too; which there are is looked up at each read.
    pub fn with_root(mut self, root: impl AsRef<Path>) -> Self {
        self.ledgers.set_root(root.as_ref().to_owned());
        self
    }

    /// What happened in the scope within a window: counts, failures, how far the ledgers were read.
    ///
    /// # Errors
    ///
    /// - `bossman.invalid_window`: the window is empty, or longer than [`MAX_WINDOW_US`].
    /// - `bossman.ledger_unreadable`: a ledger could not be read.
    #[dataset_event(
        surface = "bossman.overview",
        access = "read",
        input(since_us = window.since_us, until_us = window.until_us),
        output(events = ret.totals.events, ledgers = ret.freshness.ledgers.len()),
    )]
    pub async fn overview(&self, ctx: &RequestContext, window: Window) -> Result<Overview, BossmanError> {
        require(window)?;
        let read = self.read(ctx, move |scope, ledgers, as_of_us| {
            let filter = EventFilter {
                since_us: Some(window.since_us),
                until_us: Some(window.until_us),
                ..EventFilter::default()
            };
            let mut fold = Fold::over(window);
            // The heads first: an event that comes between the two is counted, and its number is higher.
            let heads = ledgers.iter().map(Opened::head).collect::<Result<Vec<_>, _>>()?;
            for ledger in ledgers {
                ledger.fold(&filter, |stored| fold.add(&stored.event))?;
            }
            let newest_event_us = heads.iter().filter_map(|head| head.recorded_at_us).max();
            let age_us = newest_event_us.map(|newest| as_of_us.saturating_sub(newest));
            Ok(fold.finish(Overview {
                tenant_id: scope.tenant_id().to_string(),
                env: scope.env().to_string(),
                window,
                as_of_us,
                freshness: Freshness { newest_event_us, age_us, ledgers: heads },
                totals: Counts::default(),
                by_surface: Vec::new(),
                by_code: Vec::new(),
                by_hour: Vec::new(),
                latest_failures: Vec::new(),
            }))
        });
        let overview = read.await?;
        for head in &overview.freshness.ledgers {
            current().source_ref("ledger", head.ledger_id);
        }
        Ok(overview)
    }

    /// The events of the scope with their payloads, newest first, page by page.
    ///
    /// The order is by time of recording, then ledger, then number. A page goes on where the one before
    /// ended, whatever was recorded since.
    ///
    /// # Errors
    ///
    /// - `bossman.invalid_window`: the filter's times leave nothing between them.
    /// - `bossman.invalid_page`: the size is 0 or too large, or `after` is not the `next` of a page.
    /// - `bossman.ledger_unreadable`: a ledger could not be read.
    #[dataset_event(
        surface = "bossman.events",
        access = "read",
        input(filters = filter.given(), limit = page.limit, is_first = page.after.is_none()),
        output(count = ret.events.len(), has_more = ret.next.is_some()),
    )]
    pub async fn events(
        &self,
        ctx: &RequestContext,
        filter: &EventFilter,
        page: &PageRequest,
    ) -> Result<EventPage, BossmanError> {
        if let (Some(since_us), Some(until_us)) = (filter.since_us, filter.until_us)
            && since_us >= until_us
        {
            return Err(BossmanError::InvalidWindow { since_us, until_us });
        }
        let invalid = || BossmanError::InvalidPage { limit: page.limit };
        if !(1..=MAX_PAGE).contains(&page.limit) {
            return Err(invalid());
        }
        let after = page.after.as_deref().map(str::parse::<Place>).transpose().map_err(|_| invalid())?;
        let (filter, limit) = (filter.clone(), page.limit as usize);
        let read = self.read(ctx, move |_, ledgers, as_of_us| {
            // One more than the page holds, to know whether another follows.
            let newest = ledgers.iter().map(|ledger| ledger.before(&filter, after, limit + 1));
            let mut events: Vec<StoredEvent> = newest.collect::<Result<Vec<_>, _>>()?.concat();
            events.sort_by_key(|stored| Reverse(Place::of(&stored.event)));
            let has_more = events.len() > limit;
            events.truncate(limit);
            let last = events.last().filter(|_| has_more);
            let next = last.map(|stored| Place::of(&stored.event).to_string());
            let entry = |stored: StoredEvent| EventEntry { hash: stored.hash(), event: stored.event };
            Ok(EventPage { events: events.into_iter().map(entry).collect(), next, as_of_us })
        });
        read.await
    }

    /// The events of one trace in the scope as a tree, over all ledgers.
    ///
    /// # Errors
    ///
    /// - `bossman.trace_not_found`: the scope has no event of the trace.
    /// - `bossman.ledger_unreadable`: a ledger could not be read.
    #[dataset_event(
        surface = "bossman.trace",
        access = "read",
        input(%trace_id),
        output(events = ret.events, is_truncated = ret.is_truncated),
        source_refs(trace = trace_id),
    )]
    pub async fn trace(&self, ctx: &RequestContext, trace_id: TraceId) -> Result<Trace, BossmanError> {
        let read = self.read(ctx, move |_, ledgers, _| {
            let filter = EventFilter { trace_id: Some(trace_id), ..EventFilter::default() };
            let found = ledgers.iter().map(|ledger| ledger.earliest(&filter, MAX_TRACE_EVENTS + 1));
            let mut events: Vec<StoredEvent> = found.collect::<Result<Vec<_>, _>>()?.concat();
            if events.is_empty() {
                return Err(BossmanError::TraceNotFound { trace_id });
            }
            events.sort_by_key(|stored| Place::of(&stored.event));
            let is_truncated = events.len() > MAX_TRACE_EVENTS;
            events.truncate(MAX_TRACE_EVENTS);
            let roots = tree::grow(events.iter().map(|stored| tree::node(&stored.event)).collect());
            Ok(Trace { trace_id, events: events.len() as u64, is_truncated, roots })
        });
        read.await
    }

    /// Opens the ledgers in the context's scope and reads them, where it may block.
    async fn read<T: Send + 'static>(
        &self,
        ctx: &RequestContext,
        body: impl FnOnce(&Scope, &[Opened], i64) -> Result<T, BossmanError> + Send + 'static,
    ) -> Result<T, BossmanError> {
        let (ledgers, scope) = (self.ledgers.clone(), ctx.scope().clone());
        let read = blocking(move || {
            let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let as_of_us = i64::try_from(since_1970.as_micros()).unwrap_or(i64::MAX);
            body(&scope, &ledgers.open(&scope)?, as_of_us)
        });
        let is_ending = || ledgers::unreadable("the ledgers".to_owned(), "the runtime is shutting down");
        read.await.ok_or_else(is_ending)?
    }
}

fn require(window: Window) -> Result<(), BossmanError> {
    let Window { since_us, until_us } = window;
    if window.is_valid() { Ok(()) } else { Err(BossmanError::InvalidWindow { since_us, until_us }) }
}
