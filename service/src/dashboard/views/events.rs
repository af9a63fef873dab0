//! The list of events, filtered and paged.

use dataset_events::{
    DatasetEvent, EventPlace, LineHash, Outcome, RequestId, SetScope, StoredEvent, TraceId, Unread, UserId,
};
use maud::{Markup, html};
use serde::{Deserialize, Serialize};

use super::{Heading, unread_json};
use crate::dashboard::audit::Filters;
use crate::dashboard::blocks::{Cell, EventField, Table};
use crate::dashboard::error::DashboardError;
use crate::dashboard::format::{Moment, in_query};
use crate::dashboard::html::{Frame, Nav, Page, page, table};

const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 200;

/// The query of the list. What is empty is not given, as a form sends it.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::dashboard) struct EventsQuery {
    surface: String,
    outcome: String,
    code: String,
    user: String,
    request: String,
    trace: String,
    since: String,
    until: String,
    limit: String,
    after: String,
}

/// The same, understood.
struct Wanted {
    outcome: Option<Outcome>,
    user: Option<UserId>,
    request: Option<RequestId>,
    trace: Option<TraceId>,
    since: Option<i64>,
    until: Option<i64>,
    limit: usize,
    after: Option<EventPlace>,
}

/// A page of events, as JSON.
#[derive(Debug, Serialize)]
pub(in crate::dashboard) struct EventList {
    #[serde(flatten)]
    heading: Heading,
    #[serde(serialize_with = "unread_json")]
    unread: Vec<Unread>,
    pub(in crate::dashboard) events: Vec<EventRow>,
    /// What to give as `after` for the next page.
    next: Option<EventPlace>,
}

/// One event of the list, as JSON.
#[derive(Debug, Serialize)]
pub(in crate::dashboard) struct EventRow {
    place: EventPlace,
    hash: LineHash,
    event: DatasetEvent,
}

/// A filter that is not given, or its value.
fn given<'a, T>(
    name: &'static str,
    text: &'a str,
    parse: impl FnOnce(&'a str) -> Option<T>,
) -> Result<Option<T>, DashboardError> {
    match text {
        "" => Ok(None),
        text => parse(text).map(Some).ok_or(DashboardError::InvalidFilter(name)),
    }
}

/// Microseconds since 1970, or `YYYY-MM-DD[THH:MM[:SS]]` in UTC, as a browser's field gives it.
fn moment(text: &str) -> Option<i64> {
    if let Ok(at_us) = text.parse() {
        return Some(at_us);
    }
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (date, clock) = text.split_once(['T', ' ']).unwrap_or((text, "00:00"));
    let mut parts = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let mut parts = clock.splitn(3, ':').map(|part| part.parse::<i64>().ok());
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next().unwrap_or(Some(0))?);
    let in_range = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..60).contains(&second);
    if !in_range {
        return None;
    }
    // Howard Hinnant's `days_from_civil`.
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (shifted_year.div_euclid(400), shifted_year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    let at_us = ((days * 24 + hour) * 60 + minute) * 60_000_000 + second * 1_000_000;
    // A day that its month does not have comes out as another date.
    (Moment::of(at_us).date() == format!("{year:04}-{month:02}-{day:02}")).then_some(at_us)
}

impl EventsQuery {
    fn understood(&self) -> Result<Wanted, DashboardError> {
        if self.surface.len() > 64 || self.code.len() > 128 {
            return Err(DashboardError::InvalidFilter(if self.surface.len() > 64 {
                "surface"
            } else {
                "code"
            }));
        }
        let named = |name: &str| Outcome::ALL.into_iter().find(|outcome| outcome.as_str() == name);
        let limit = |text: &str| text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
        Ok(Wanted {
            outcome: given("outcome", &self.outcome, named)?,
            user: given("user", &self.user, |text| UserId::new(text).ok())?,
            request: given("request", &self.request, |text| RequestId::new(text).ok())?,
            trace: given("trace", &self.trace, |text| text.parse().ok())?,
            since: given("since", &self.since, moment)?,
            until: given("until", &self.until, moment)?,
            limit: given("limit", &self.limit, limit)?.unwrap_or(DEFAULT_LIMIT),
            after: given("after", &self.after, |text| text.parse().ok())?,
        })
    }

    fn pairs(&self) -> [(&'static str, &str); 8] {
        [
            ("surface", &self.surface),
            ("outcome", &self.outcome),
            ("code", &self.code),
            ("user", &self.user),
            ("request", &self.request),
            ("trace", &self.trace),
            ("since", &self.since),
            ("until", &self.until),
        ]
    }

    fn has_filters(&self) -> bool {
        self.pairs().iter().any(|(_, value)| !value.is_empty())
    }

    /// What the audit event says.
    pub(in crate::dashboard) fn filters(&self) -> Filters {
        let pairs = self.pairs().into_iter().chain([("after", self.after.as_str())]);
        pairs
            .filter(|(_, value)| !value.is_empty())
            .fold(Filters::default(), |filters, (name, value)| filters.with(name, value))
    }

    /// The address of the list with the same filters, from a place on.
    fn address(&self, frame: &Frame<'_>, after: Option<EventPlace>) -> String {
        let after = after.map(|place| place.to_string()).unwrap_or_default();
        let pairs =
            self.pairs().into_iter().chain([("limit", self.limit.as_str()), ("after", after.as_str())]);
        let given = pairs.filter(|(_, value)| !value.is_empty());
        let query: Vec<String> = given.map(|(name, value)| format!("{name}={}", in_query(value))).collect();
        if query.is_empty() {
            frame.href("/events")
        } else {
            frame.href(&format!("/events?{}", query.join("&")))
        }
    }

    pub(in crate::dashboard) fn read(
        &self,
        reader: &SetScope,
        now_us: i64,
    ) -> Result<EventList, DashboardError> {
        let wanted = self.understood()?;
        let mut query = reader.events().newest_first();
        if !self.surface.is_empty() {
            query = query.surface(self.surface.as_str());
        }
        if !self.code.is_empty() {
            query = query.code(self.code.as_str());
        }
        if let Some(outcome) = wanted.outcome {
            query = query.outcome(outcome);
        }
        if let Some(user) = &wanted.user {
            query = query.user(user);
        }
        if let Some(request) = &wanted.request {
            query = query.request(request);
        }
        if let Some(trace) = wanted.trace {
            query = query.trace(trace);
        }
        if let Some(since) = wanted.since {
            query = query.since(since);
        }
        if let Some(until) = wanted.until {
            query = query.until(until);
        }
        if let Some(after) = wanted.after {
            query = query.resume(after);
        }
        let page = query.page(wanted.limit)?;
        let row = |stored: StoredEvent| EventRow {
            place: EventPlace::of(&stored.event),
            hash: stored.hash(),
            event: stored.event,
        };
        Ok(EventList {
            heading: Heading::new(reader.scope(), now_us),
            unread: page.unread,
            events: page.events.into_iter().map(row).collect(),
            next: page.next,
        })
    }
}

fn form(frame: &Frame<'_>, query: &EventsQuery) -> Markup {
    let field = |id: &'static str, label: &str, value: &str, hint: &str| {
        html! {
            div.field {
                label for=(id) { (label) }
                input id=(id) name=(id) value=(value) placeholder=(hint) autocomplete="off" spellcheck="false" dir="ltr";
            }
        }
    };
    html! {
        form.card.filters method="get" action=(frame.href("/events")) role="search" aria-label="Filter events" {
            (field("surface", "Surface", &query.surface, "chat.*"))
            div.field {
                label for="outcome" { "Outcome" }
                select id="outcome" name="outcome" {
                    option value="" { "any" }
                    @for outcome in Outcome::ALL {
                        option value=(outcome) selected[query.outcome == outcome.as_str()] { (outcome) }
                    }
                }
            }
            (field("code", "Code", &query.code, "engine.reason"))
            (field("user", "User", &query.user, "exact"))
            (field("request", "Request", &query.request, "exact"))
            (field("trace", "Trace", &query.trace, "32 digits"))
            (field("since", "From (UTC)", &query.since, "2026-01-31T12:00"))
            (field("until", "To (UTC)", &query.until, "2026-01-31T13:00"))
            div.actions {
                button type="submit" { "Filter" }
                @if query.has_filters() { a.button.quiet href=(frame.href("/events")) { "Clear" } }
            }
        }
    }
}

pub(in crate::dashboard) fn events_page(frame: &Frame<'_>, query: &EventsQuery, list: &EventList) -> Markup {
    let is_first = query.after.is_empty();
    let mut rows = Table::new(
        if is_first { "Newest first" } else { "Newest first, continued" },
        &["Time (UTC)", "Surface", "Outcome", "Code", "User", "Service", "Duration", "Trace"],
    )
    .when_empty(match (query.has_filters(), is_first) {
        (true, _) => "No event fits. Widen the times, or clear the filters.",
        (false, true) => {
            "This scope has no events in any ledger yet. They appear once a service records a call in it."
        }
        (false, false) => "No more events.",
    });
    for EventRow { place, event, .. } in &list.events {
        rows.push([
            Cell::event_time(*place),
            Cell::events_with(EventField::Surface, &event.surface),
            Cell::outcome(event.outcome),
            Cell::or_none(event.code(), |code| Cell::events_with(EventField::Code, code)),
            Cell::or_none(event.user_id(), |user| Cell::events_with(EventField::User, user.as_str())),
            Cell::name(&event.writer.service),
            Cell::duration_ns(event.duration_ns),
            Cell::trace(event.trace_id),
        ]);
    }
    let body = html! {
        (form(frame, query))
        (table(frame, &rows))
        nav.paging aria-label="Pages of the list" {
            @if !is_first { a.button.quiet href=(query.address(frame, None)) { "Newest" } }
            @if let Some(next) = list.next { a.button rel="next" href=(query.address(frame, Some(next))) { "Older" } }
        }
    };
    page(
        frame,
        Page {
            nav: Nav::Events,
            title: "Events",
            lead: "Every call that was recorded in this scope, reading included.",
            window: None,
            as_of: None,
            unread: &list.unread,
            is_stale: false,
            body,
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_microseconds_or_dates() {
        let noon = 1_767_268_800_000_000;
        let texts = ["1767268800000000", "2026-01-01T12:00", "2026-01-01T12:00:00Z", "2026-01-01 12:00:00"];
        assert!(texts.iter().all(|text| moment(text) == Some(noon)));
        assert_eq!(moment("2026-01-01"), Some(1_767_225_600_000_000));
        for bad in
            ["yesterday", "2026-13-01", "2026-02-30", "2026-01-01T25:00", "2026-01-01T12:00+02:00", "-"]
        {
            assert_eq!(moment(bad), None, "{bad}");
        }
    }
}
