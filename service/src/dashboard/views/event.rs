//! One event in full, with its place in the chain.

use dataset_events::{
    CoveringCheckpoint, DatasetEvent, EventId, EventPlace, LineHash, SetScope, StoredEvent,
};
use maud::{Markup, html};
use serde::Serialize;

use super::Heading;
use crate::dashboard::blocks::{Cell, EventField, Table};
use crate::dashboard::error::DashboardError;
use crate::dashboard::format::{count, duration, pretty_json, visible};
use crate::dashboard::html::{Frame, Nav, Page, cell, exact_time, name, page, table, text, time};

/// How many events are searched for an id.
const SEARCHED: usize = 10_000;

/// One event, as JSON.
#[derive(Debug, Serialize)]
pub(in crate::dashboard) struct EventView {
    #[serde(flatten)]
    heading: Heading,
    place: EventPlace,
    hash: LineHash,
    event: DatasetEvent,
    chain: Chain,
    /// The line as it is stored: `sha256sum` over it is the hash.
    line: String,
}

/// Where the event stands in its ledger's stream of the scope.
#[derive(Debug, Serialize)]
struct Chain {
    previous: Option<EventPlace>,
    next: Option<EventPlace>,
    /// Whether `prev` is the hash of the line before; `null` for the first event, and where that is not there.
    follows_previous: Option<bool>,
    /// Whether the event behind names this one's hash; `null` for the newest.
    next_follows: Option<bool>,
    /// The first checkpoint that covers the event; `null` while none does.
    checkpoint: Option<CoveringCheckpoint>,
}

/// Finds an event by its place or its id.
pub(in crate::dashboard) fn read_event(
    reader: &SetScope,
    named: &str,
    now_us: i64,
) -> Result<EventView, DashboardError> {
    let stored = match named.parse::<EventPlace>() {
        Ok(place) => reader.event_at(place)?,
        Err(_) => match named.parse::<EventId>() {
            Ok(id) => reader.find_event(id, SEARCHED)?,
            Err(_) => None,
        },
    };
    let stored = stored.ok_or(DashboardError::NotFound)?;
    let (ledger_id, seq) = (stored.event.ledger_id, stored.event.seq);
    let neighbour = |seq: Option<u64>| seq.map_or(Ok(None), |seq| reader.event(ledger_id, seq));
    let previous = neighbour(seq.checked_sub(1).filter(|seq| *seq > 0))?;
    let next = neighbour(seq.checked_add(1))?;
    let place_of = |stored: &StoredEvent| EventPlace::of(&stored.event);
    let hash = stored.hash();
    Ok(EventView {
        heading: Heading::new(reader.scope(), now_us),
        place: place_of(&stored),
        hash,
        chain: Chain {
            previous: previous.as_ref().map(place_of),
            next: next.as_ref().map(place_of),
            follows_previous: previous.as_ref().map(|previous| previous.hash() == stored.event.prev),
            next_follows: next.as_ref().map(|next| next.event.prev == hash),
            checkpoint: reader.checkpoint_of(&stored)?,
        },
        event: stored.event,
        line: stored.line,
    })
}

type Facts = Vec<(&'static str, Markup)>;

fn facts(title: &str, facts: &Facts) -> Markup {
    html! {
        section.card {
            h2.caption { (title) }
            dl.facts { @for (fact, value) in facts { div { dt { (fact) } dd { (value) } } } }
        }
    }
}

fn payload(title: &str, raw: Option<&str>) -> Markup {
    html! {
        section.card {
            h2.caption { (title) }
            @match raw {
                Some(raw) => { pre tabindex="0" aria-label=(title) dir="ltr" { code { (shown_lines(&pretty_json(raw))) } } },
                None => p.nothing { "Nothing was captured." },
            }
        }
    }
}

/// Controls are shown, the line breaks that were put in aside.
fn shown_lines(json: &str) -> String {
    json.split('\n').map(visible).collect::<Vec<_>>().join("\n")
}

fn envelope(frame: &Frame<'_>, view: &EventView) -> Facts {
    let event = &view.event;
    let mut facts: Facts = vec![
        ("Surface", cell(frame, &Cell::events_with(EventField::Surface, &event.surface))),
        ("Outcome", cell(frame, &Cell::outcome(event.outcome))),
        ("Access", html! { (event.access) }),
        ("Started", exact_time(event.started_at, frame.now_us)),
        ("Duration", html! { (duration(event.duration_ns)) }),
        ("Recorded", exact_time(event.recorded_at, frame.now_us)),
    ];
    if let Some(error) = &event.error {
        facts.insert(2, ("Code", cell(frame, &Cell::events_with(EventField::Code, &error.code))));
        facts.insert(3, ("Retryable", html! { @if error.retryable { "yes" } @else { "no" } }));
        if let Some(message) = &error.message {
            facts.insert(4, ("Message", text(message)));
        }
    }
    if let Some(items) = event.detail.items {
        facts.push(("Items", html! { (count(items)) }));
    }
    if let Some(cause) = event.detail.cause {
        facts.push(("Died", html! { (cause.as_str()) }));
    }
    facts
}

fn who(frame: &Frame<'_>, event: &DatasetEvent) -> Facts {
    let mut facts: Facts = Vec::new();
    match &event.actor {
        Some(actor) => {
            facts.push(("Actor", html! { (actor.actor_type.as_str()) }));
            if let Some(user) = &actor.user_id {
                facts.push(("User", cell(frame, &Cell::events_with(EventField::User, user.as_str()))));
            }
            if let Some(subject) = &actor.auth_subject {
                facts.push(("Subject", name(subject.as_str())));
            }
            if let Some(user) = &actor.on_behalf_of {
                facts.push(("On behalf of", name(user.as_str())));
            }
        }
        None if event.actor_marker().is_some() => facts.push(("Actor", html! { "sealed or left out" })),
        None => facts.push(("Actor", html! { "not recorded" })),
    }
    if let Some(client) = &event.client {
        if let Some(ip) = &client.ip {
            facts.push(("Address", name(ip)));
        }
        if let Some(agent) = &client.user_agent {
            facts.push(("User agent", text(agent)));
        }
    }
    facts
}

fn ids(frame: &Frame<'_>, view: &EventView) -> Facts {
    let event = &view.event;
    let mut facts: Facts = vec![
        ("Event", name(&event.event_id.to_string())),
        ("Request", cell(frame, &Cell::events_with(EventField::Request, event.request_id.as_str()))),
        (
            "Trace",
            html! { a.name href=(frame.href(&format!("/traces/{}", event.trace_id))) { (event.trace_id) } },
        ),
        ("Span", name(&event.span_id.to_string())),
    ];
    if let Some(parent) = event.parent_span_id {
        facts.push(("Parent span", name(&parent.to_string())));
    }
    if !event.synthesized.is_empty() {
        facts.push(("Made up", name(&event.synthesized.join(", "))));
    }
    let writer = &event.writer;
    facts.push(("Service", name(&format!("{} {}", writer.service, writer.version))));
    facts.push(("Instance", name(&writer.instance)));
    if let Some(build) = &writer.build {
        facts.push(("Build", name(build)));
    }
    facts
}

fn chain(frame: &Frame<'_>, view: &EventView) -> Facts {
    let (event, chain) = (&view.event, &view.chain);
    let link = |place: Option<EventPlace>, shown: &str, absent: &'static str| match place {
        Some(place) => cell(frame, &Cell::event(place, shown)),
        None => html! { (absent) },
    };
    let holds = |holds: Option<bool>| {
        html! {
            @match holds {
                Some(true) => { " " span.status.good { "chained" } },
                Some(false) => { " " span.status.bad { "broken" } },
                None => "",
            }
        }
    };
    let before = event.seq.checked_sub(1).map(|seq| format!("number {seq}")).unwrap_or_default();
    let behind = format!("number {}", event.seq.saturating_add(1));
    let mut facts: Facts = vec![
        ("Ledger", name(&event.ledger_id.to_string())),
        ("Number", html! { (count(event.seq)) }),
        ("Hash", name(&view.hash.to_string())),
        ("Previous hash", name(&event.prev.to_string())),
        (
            "Previous event",
            html! { (link(chain.previous, &before, "nothing: the stream begins here")) (holds(chain.follows_previous)) },
        ),
        (
            "Next event",
            html! { (link(chain.next, &behind, "nothing yet: this is the newest")) (holds(chain.next_follows)) },
        ),
    ];
    match &chain.checkpoint {
        Some(checkpoint) => {
            let number = count(checkpoint.number);
            facts.push(("Checkpoint", html! {
                span.status.good { "covered" } " by number " (number) ", made " (time(checkpoint.at, frame.now_us)) " (" (checkpoint.reason) ")"
            }));
            facts.push(("Checkpoint hash", name(&checkpoint.hash.to_string())));
            facts.push(("Signed by", name(&checkpoint.key_id)));
        }
        None => facts.push((
            "Checkpoint",
            html! {
                span.status.warning { "not covered" } " yet: the next checkpoint of the ledger will"
            },
        )),
    }
    facts
}

pub(in crate::dashboard) fn event_page(frame: &Frame<'_>, view: &EventView) -> Markup {
    let event = &view.event;
    let mut changes = Table::new("Changes", &["Field", "Before", "After"])
        .when_empty("The call changed nothing that it named.");
    for change in &event.changes {
        changes.push([
            Cell::name(&change.field),
            Cell::name(change.before.get()),
            Cell::name(change.after.get()),
        ]);
    }
    let mut refs = Table::new("Source refs", &["Kind", "Id"])
        .when_empty("The call named nothing that it read or wrote.");
    for source in &event.source_refs {
        refs.push([Cell::text(&source.kind), Cell::name(&source.id)]);
    }
    let body = html! {
        div.pair {
            (facts("Call", &envelope(frame, view)))
            (facts("Who", &who(frame, event)))
        }
        div.pair {
            (payload("Input", event.input.as_deref().map(|raw| raw.get())))
            (payload("Output", event.output.as_deref().map(|raw| raw.get())))
        }
        div.pair {
            (table(frame, &changes))
            @if event.source_refs_marker().is_some() {
                section.card { h2.caption { "Source refs" } p.nothing { "Sealed or left out." } }
            } @else { (table(frame, &refs)) }
        }
        (facts("Place in the chain", &chain(frame, view)))
        (facts("Ids", &ids(frame, view)))
        section.card {
            h2.caption { "The line as it is stored" }
            details {
                summary { (count(view.line.len() as u64)) " bytes; its SHA-256 is the hash" }
                pre.raw tabindex="0" aria-label="The line as it is stored" dir="ltr" { code { (visible(&view.line)) } }
            }
        }
    };
    page(
        frame,
        Page {
            nav: Nav::Events,
            title: "Event",
            lead: &event.surface,
            window: None,
            as_of: None,
            unread: &[],
            is_stale: false,
            body,
        },
    )
}
