//! The events of a scope themselves: a list in pages, and a trace as a tree.

use dataset_events::read_models::EventPlace;
use dataset_events::{RequestContext, SetQuery, StoredEvent, TraceId, dataset_event};

use super::asked::{require_limit, select};
use super::error::BossmanError;
use super::model::{EventEntry, EventFilter, EventPage, MAX_TRACE_EVENTS, PageRequest, Trace, UnreadLedger};
use super::{Bossman, now_us, off, tree};

impl Bossman {
    /// The events of the scope with their payloads, newest first, page by page.
    ///
    /// The order is by time of recording, then ledger, then number. A page goes on where the one before
    /// ended, whatever was recorded since.
    ///
    /// # Errors
    ///
    /// - `bossman.invalid_window`: the filter's times leave nothing between them.
    /// - `bossman.invalid_page`: the size is 0 or too large, or `after` is not the `next` of a page.
    /// - `bossman.ledger_unreadable`: a ledger could not be read, and parts are refused.
    #[dataset_event(
        surface = "bossman.events",
        access = "read",
        input(filters = filter.given(), limit = page.limit, is_first = page.after.is_none()),
        output(count = ret.events.len(), has_more = ret.next.is_some(), unread = ret.unread.len()),
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
        let limit = require_limit(page.limit)?;
        let after = page.after.as_deref().map(str::parse::<EventPlace>).transpose();
        let after = after.map_err(|_| BossmanError::InvalidPage { limit: page.limit })?;
        let query = select(self.query(ctx).newest_first(), filter);
        let query = after.map_or(query.clone(), |place| query.resume(place));
        let bossman = self.clone();
        let read = off(move || {
            let as_of_us = now_us();
            let page = query.page(limit).map_err(|error| BossmanError::unreadable("the ledgers", error))?;
            bossman.may_show(&page.unread)?;
            let entry = |stored: StoredEvent| EventEntry { hash: stored.hash(), event: stored.event };
            let next = page.next.map(|place| place.to_string());
            Ok(EventPage {
                events: page.events.into_iter().map(entry).collect(),
                next,
                as_of_us,
                is_complete: page.unread.is_empty(),
                unread: UnreadLedger::all(&page.unread),
            })
        });
        read.await
    }

    /// The events of one trace in the scope as a tree, over all ledgers.
    ///
    /// # Errors
    ///
    /// - `bossman.trace_not_found`: the scope has no event of the trace.
    /// - `bossman.ledger_unreadable`: a ledger could not be read, and parts are refused.
    #[dataset_event(
        surface = "bossman.trace",
        access = "read",
        input(%trace_id),
        output(events = ret.events, is_truncated = ret.is_truncated, unread = ret.unread.len()),
        source_refs(trace = trace_id),
    )]
    pub async fn trace(&self, ctx: &RequestContext, trace_id: TraceId) -> Result<Trace, BossmanError> {
        let (bossman, query) = (self.clone(), self.query(ctx).trace(trace_id));
        let read = off(move || {
            let page = query.page(MAX_TRACE_EVENTS);
            let page = page.map_err(|error| BossmanError::unreadable("the ledgers", error))?;
            bossman.may_show(&page.unread)?;
            if page.events.is_empty() {
                // Where a ledger was not read, nobody knows that there is none.
                BossmanError::if_unread(&page.unread)?;
                return Err(BossmanError::TraceNotFound { trace_id });
            }
            let events = page.events.len() as u64;
            let roots = tree::grow(page.events.iter().map(|stored| tree::node(&stored.event)).collect());
            Ok(Trace {
                trace_id,
                events,
                is_truncated: page.next.is_some(),
                is_complete: page.unread.is_empty(),
                unread: UnreadLedger::all(&page.unread),
                roots,
            })
        });
        read.await
    }

    fn query(&self, ctx: &RequestContext) -> SetQuery {
        self.set.scope(ctx.scope().tenant_id(), ctx.scope().env()).events()
    }
}
