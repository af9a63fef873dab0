//! The ledgers of the scope: their heads, their state, and whether they verify.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use dataset_events::read_models::LedgerHead;
use dataset_events::{EventPlace, LedgerId, LedgerState, LedgerStates, LedgerStatus, Unread};
use maud::{Markup, html};
use serde::Serialize;

use super::sinks::{SinkRow, sinks_table, sinks_tile};
use super::{Heading, unread_json};
use crate::dashboard::blocks::{Block, Cell, Table, Tile, Tone};
use crate::dashboard::desk::{Desk, Desks};
use crate::dashboard::digest::ScopeDigest;
use crate::dashboard::error::DashboardError;
use crate::dashboard::format::{count, duration};
use crate::dashboard::html::{Frame, Nav, Page, blocks, page, relative_time};
use crate::dashboard::viewer::now_us;

/// A result is shown for so long before verifying anew is offered.
const AGAIN_AFTER: Duration = Duration::from_secs(10);
/// Findings that are shown of each ledger.
const MAX_FINDINGS: usize = 20;

/// Where verifying a scope stands.
#[derive(Debug, Default)]
pub(in crate::dashboard) enum VerificationState {
    /// Nobody has asked.
    #[default]
    Never,
    /// It is under way.
    Running { since_us: i64 },
    /// It has ended.
    Done { ended: Instant, result: Verification },
}

/// What verifying the scope's streams found.
#[derive(Debug, Clone, Serialize)]
pub(in crate::dashboard) struct Verification {
    at_us: i64,
    took_ns: u64,
    ledgers: Vec<VerifiedLedger>,
}

#[derive(Debug, Clone, Serialize)]
struct VerifiedLedger {
    ledger_id: Option<LedgerId>,
    /// `false` also where the ledger could not be read.
    is_verified: bool,
    events: u64,
    /// Events of the scope that no checkpoint covers yet.
    uncovered_events: u64,
    findings: Vec<String>,
    findings_left_out: u64,
}

/// The health of a scope's ledgers, as JSON.
#[derive(Debug, Serialize)]
pub(in crate::dashboard) struct Health {
    #[serde(flatten)]
    heading: Heading,
    as_of_us: Option<i64>,
    pub(in crate::dashboard) events_read: u64,
    #[serde(serialize_with = "unread_json")]
    unread: Vec<Unread>,
    ledgers: Vec<LedgerRow>,
    /// Where this process forwards its own ledger to.
    sinks: Vec<SinkRow>,
    verification: VerificationView,
}

#[derive(Debug, Serialize)]
struct LedgerRow {
    ledger_id: LedgerId,
    /// `own`, `live`, `restored` or `closed`.
    status: &'static str,
    /// The newest event of the scope in this ledger.
    head: Option<Head>,
    /// For the own ledger: whether the index is in order, and how many bytes it is behind.
    index: Option<IndexRow>,
}

#[derive(Debug, Serialize)]
struct Head {
    #[serde(flatten)]
    place: EventPlaceParts,
    surface: String,
    service: String,
    version: String,
    instance: String,
}

#[derive(Debug, Serialize)]
struct EventPlaceParts {
    place: EventPlace,
    seq: u64,
    recorded_at: i64,
}

#[derive(Debug, Serialize)]
struct IndexRow {
    is_ok: bool,
    /// `None` where they lie in different segments.
    lag_bytes: Option<u64>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
enum VerificationView {
    Never,
    Running { since_us: i64 },
    Done { result: Verification },
}

impl Health {
    pub(in crate::dashboard) fn read(desk: &Desk, now_us: i64) -> Result<Self, DashboardError> {
        let LedgerStates { ledgers, unread, .. } = desk.models.reader().set().states();
        let verification = match &*desk.verification.lock().unwrap_or_else(PoisonError::into_inner) {
            VerificationState::Never => VerificationView::Never,
            VerificationState::Running { since_us } => VerificationView::Running { since_us: *since_us },
            VerificationState::Done { result, .. } => VerificationView::Done { result: result.clone() },
        };
        Ok(desk.models.fold(ScopeDigest, |folded| {
            let heads = &folded.state().heads;
            let row = |state: &LedgerState| {
                let head = heads.get(&state.ledger_id).and_then(|head| Some((head.place()?, head.get()?)));
                LedgerRow {
                    ledger_id: state.ledger_id,
                    status: match state.status {
                        LedgerStatus::Own => "own",
                        LedgerStatus::Live => "live",
                        LedgerStatus::Restored => "restored",
                        _ => "closed",
                    },
                    head: head.map(|(place, LedgerHead { surface, writer, .. })| Head {
                        place: EventPlaceParts { place, seq: place.seq, recorded_at: place.recorded_at },
                        surface: surface.clone(),
                        service: writer.service.clone(),
                        version: writer.version.clone(),
                        instance: writer.instance.clone(),
                    }),
                    index: state.index.as_ref().map(|index| IndexRow {
                        is_ok: index.is_ok,
                        lag_bytes: (index.indexed.segment == index.durable.segment)
                            .then(|| index.durable.offset.saturating_sub(index.indexed.offset)),
                    }),
                }
            };
            Health {
                heading: Heading::new(desk.models.reader().scope(), now_us),
                as_of_us: folded.as_of(),
                events_read: folded.snapshot().events,
                ledgers: ledgers.iter().map(row).collect(),
                unread,
                sinks: ledgers.iter().flat_map(SinkRow::of).collect(),
                verification,
            }
        })?)
    }

    fn blocks(&self) -> Vec<Block> {
        let with_events = self.ledgers.iter().filter(|ledger| ledger.head.is_some()).count();
        let unread = Tile::new("Not readable", Cell::count(self.unread.len() as u64));
        let tiles = Block::tiles([
            Tile::new("Ledgers", Cell::count(self.ledgers.len() as u64))
                .note(format!("{with_events} with events of this scope")),
            Tile::new("Events", Cell::count(self.events_read)).note("of this scope, reading included"),
            match self.unread.len() {
                0 => unread.note("all ledgers were read").tone(Tone::Good),
                _ => unread.note("answers lack their events").tone(Tone::Bad),
            },
            sinks_tile(&self.sinks),
        ]);
        let columns = ["Ledger", "Status", "Service", "Events", "Newest (UTC)", "Index"];
        let mut ledgers = Table::new("Ledgers of the set", &columns).when_empty(
            "No ledger was found. The set reads the roots that the program names; check that they exist.",
        );
        for ledger in &self.ledgers {
            let status = match ledger.status {
                "own" => Cell::status(Tone::Good, "open here"),
                "live" => Cell::status(Tone::Good, "open elsewhere"),
                "restored" => Cell::status(Tone::Neutral, "restored from a replica"),
                _ => Cell::status(Tone::Neutral, "closed"),
            };
            let index = match &ledger.index {
                None => Cell::text("read by the set"),
                Some(IndexRow { is_ok: false, .. }) => Cell::status(Tone::Bad, "failing; the log is scanned"),
                Some(IndexRow { lag_bytes: Some(0), .. }) => Cell::status(Tone::Good, "up to date"),
                Some(IndexRow { lag_bytes: Some(bytes), .. }) => {
                    Cell::text(format!("{} bytes behind", count(*bytes)))
                }
                Some(IndexRow { lag_bytes: None, .. }) => Cell::status(Tone::Warning, "a segment behind"),
            };
            let head = ledger.head.as_ref();
            ledgers.push([
                Cell::name(ledger.ledger_id.to_string()),
                status,
                Cell::or_none(head, |head| Cell::name(format!("{} {}", head.service, head.version))),
                Cell::count(head.map_or(0, |head| head.place.seq)),
                Cell::or_none(head, |head| Cell::event_time(head.place.place)),
                index,
            ]);
        }
        let mut blocks = vec![tiles, ledgers.into()];
        if !self.sinks.is_empty() {
            blocks.push(sinks_table(&self.sinks).into());
        }
        blocks
    }
}

/// Begins to verify the scope's streams, unless that is under way or has just ended.
pub(in crate::dashboard) fn verify(desks: &Desks, desk: &Arc<Desk>) {
    {
        let mut state = desk.verification.lock().unwrap_or_else(PoisonError::into_inner);
        match &*state {
            VerificationState::Running { .. } => return,
            VerificationState::Done { ended, .. } if ended.elapsed() < AGAIN_AFTER => return,
            _ => *state = VerificationState::Running { since_us: now_us() },
        }
    }
    let (desk, turns) = (Arc::clone(desk), Arc::clone(&desks.verifying));
    tokio::spawn(async move {
        // One at a time over all scopes: it reads whole logs.
        let turn = turns.acquire_owned().await;
        let reader = desk.models.reader().clone();
        let begun = Instant::now();
        let verified = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            reader.verify()
        })
        .await;
        let mut state = desk.verification.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(verified) = verified else {
            *state = VerificationState::Never;
            return;
        };
        let ledgers = verified.into_iter().map(|ledger| {
            let is_verified = ledger.is_verified();
            let report = ledger.report;
            let findings = report.as_ref().map(|report| report.findings.as_slice()).unwrap_or_default();
            let mut shown: Vec<String> =
                findings.iter().take(MAX_FINDINGS).map(|finding| finding.to_string()).collect();
            if report.is_none() {
                shown.push("the ledger could not be read".to_owned());
            }
            VerifiedLedger {
                ledger_id: ledger.ledger_id,
                is_verified,
                events: report.as_ref().map_or(0, |report| report.events),
                uncovered_events: report.as_ref().map_or(0, |report| report.unprotected.events),
                findings_left_out: findings.len().saturating_sub(MAX_FINDINGS) as u64
                    + report.as_ref().map_or(0, |report| report.findings_left_out),
                findings: shown,
            }
        });
        let result = Verification {
            at_us: now_us(),
            took_ns: u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX),
            ledgers: ledgers.collect(),
        };
        *state = VerificationState::Done { ended: Instant::now(), result };
    });
}

fn verification(frame: &Frame<'_>, view: &VerificationView) -> Markup {
    let button = |label: &str| {
        html! {
            form method="post" action=(frame.href("/health/verify")) { button type="submit" { (label) } }
        }
    };
    html! {
        section.card {
            h2.caption { "Verification" }
            @match view {
                VerificationView::Never => {
                    p { "Verifying reads every ledger from its first byte: hashes, chains, signatures. It may take minutes." }
                    (button("Verify now"))
                },
                VerificationView::Running { since_us } => {
                    p role="status" { span.status.warning { "running" } " since " (relative_time(*since_us, frame.now_us)) ". " a href=(frame.href("/health")) { "Look again" } }
                },
                VerificationView::Done { result } => {
                    p { "Ended " (relative_time(result.at_us, frame.now_us)) " after " (duration(result.took_ns)) "." }
                    (blocks(frame, &[verified(result)]))
                    @for ledger in &result.ledgers {
                        @for finding in &ledger.findings { p.notice.bad { (super::super::html::text(finding)) } }
                    }
                    (button("Verify again"))
                },
            }
        }
    }
}

fn verified(result: &Verification) -> Block {
    let mut table = Table::new(
        "Streams of this scope",
        &["Ledger", "Result", "Events", "Not covered by a checkpoint", "Findings"],
    );
    for ledger in &result.ledgers {
        table.push([
            Cell::or_none(ledger.ledger_id, |id| Cell::name(id.to_string())),
            if ledger.is_verified {
                Cell::status(Tone::Good, "verified")
            } else {
                Cell::status(Tone::Bad, "not verified")
            },
            Cell::count(ledger.events),
            Cell::count(ledger.uncovered_events),
            Cell::count(ledger.findings.len() as u64 + ledger.findings_left_out),
        ]);
    }
    table.into()
}

pub(in crate::dashboard) fn health_page(frame: &Frame<'_>, health: &Health) -> Markup {
    let body = html! {
        (blocks(frame, &health.blocks()))
        (verification(frame, &health.verification))
    };
    page(
        frame,
        Page {
            nav: Nav::Health,
            title: "Ledger health",
            lead: "Where this scope's events are kept, and whether they are as they were written.",
            window: None,
            as_of: health.as_of_us,
            unread: &health.unread,
            is_stale: false,
            body,
        },
    )
}
