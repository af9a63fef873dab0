//! Coverage: the surfaces of this binary, and which of them the scope has seen.

use std::collections::{BTreeMap, BTreeSet};

use dataset_events::read_models::Window;
use dataset_events::{Site, Unread, surfaces};
use serde::Serialize;

use super::{Heading, unread_json};
use crate::dashboard::blocks::{Block, Cell, EventField, Table, Tile, Tone};
use crate::dashboard::digest::ScopeDigest;
use crate::dashboard::error::DashboardError;
use crate::dashboard::html::{Frame, Nav, Page, blocks, page};
use crate::dashboard::models::ScopeModels;

/// Coverage of a scope, as JSON.
#[derive(Debug, Serialize)]
pub(in crate::dashboard) struct Coverage {
    #[serde(flatten)]
    heading: Heading,
    as_of_us: Option<i64>,
    pub(in crate::dashboard) events_read: u64,
    #[serde(serialize_with = "unread_json")]
    unread: Vec<Unread>,
    surfaces: Vec<SurfaceCoverage>,
    codes: Vec<CodeCoverage>,
    skipped: Vec<Skipped>,
    /// Surfaces that the scope has events of and this binary does not link.
    elsewhere: Vec<Elsewhere>,
}

#[derive(Debug, Serialize)]
struct SurfaceCoverage {
    surface: String,
    crate_name: String,
    access: &'static str,
    guarantee: &'static str,
    ok: u64,
    failed: u64,
    cannot_fail: Option<&'static str>,
    /// Reading is not counted.
    is_counted: bool,
}

#[derive(Debug, Serialize)]
struct CodeCoverage {
    code: String,
    events: u64,
}

#[derive(Debug, Serialize)]
struct Skipped {
    surface: &'static str,
    crate_name: &'static str,
    reason: &'static str,
}

#[derive(Debug, Serialize)]
struct Elsewhere {
    surface: String,
    ok: u64,
    failed: u64,
}

/// Whether read models count the surface: not those of reading.
fn is_counted(surface: &str) -> bool {
    surface != "ledger.read" && !surface.starts_with("bossman.")
}

impl Coverage {
    pub(in crate::dashboard) fn read(models: &ScopeModels, now_us: i64) -> Result<Self, DashboardError> {
        let mut linked: BTreeMap<&str, &Site> = BTreeMap::new();
        let (mut codes, mut skipped) = (BTreeSet::new(), Vec::new());
        for site in surfaces() {
            if let Some(reason) = site.skip {
                skipped.push(Skipped { surface: site.surface, crate_name: site.crate_name(), reason });
                continue;
            }
            linked.insert(site.surface, site);
            if is_counted(site.surface) {
                codes.extend((site.codes)().iter().map(|code| code.name()));
            }
        }
        skipped.sort_by_key(|skipped| (skipped.surface, skipped.reason));
        Ok(models.fold(ScopeDigest, |folded| {
            let all = folded.state().activity.window(Window::All, now_us.saturating_add(1)).total;
            let seen = |surface: &str| {
                let counts = all.by_surface.get(surface).copied().unwrap_or_default();
                (counts.events - counts.failures, counts.failures)
            };
            let surfaces = linked.values().map(|site| {
                let (ok, failed) = seen(site.surface);
                SurfaceCoverage {
                    surface: site.surface.to_owned(),
                    crate_name: site.crate_name().to_owned(),
                    access: site.access.as_str(),
                    guarantee: site.guarantee.as_str(),
                    ok,
                    failed,
                    cannot_fail: site.cannot_fail,
                    is_counted: is_counted(site.surface),
                }
            });
            let names: BTreeSet<&str> =
                codes.iter().copied().chain(all.by_code.keys().map(String::as_str)).collect();
            let codes = names.into_iter().map(|code| CodeCoverage {
                code: code.to_owned(),
                events: all.by_code.get(code).copied().unwrap_or(0),
            });
            let elsewhere = all.by_surface.keys().filter(|surface| !linked.contains_key(surface.as_str()));
            let elsewhere = elsewhere.map(|surface| {
                let (ok, failed) = seen(surface);
                Elsewhere { surface: surface.clone(), ok, failed }
            });
            Coverage {
                heading: Heading::new(models.reader().scope(), now_us),
                as_of_us: folded.as_of(),
                events_read: folded.snapshot().events,
                unread: folded.last_refresh().unread.clone(),
                surfaces: surfaces.collect(),
                codes: codes.collect(),
                elsewhere: elsewhere.collect(),
                skipped,
            }
        })?)
    }

    fn blocks(&self) -> Vec<Block> {
        let counted = || self.surfaces.iter().filter(|surface| surface.is_counted);
        let all = counted().count();
        let (ok, failed) = (
            counted().filter(|surface| surface.ok > 0).count(),
            counted().filter(|surface| surface.failed > 0).count(),
        );
        let seen_codes = self.codes.iter().filter(|code| code.events > 0).count();
        let share = |part: usize, whole: usize| Cell::share(part as f64 / whole.max(1) as f64);
        let tiles = Block::tiles([
            Tile::new("Surfaces", Cell::count(all as u64)).note("linked into this binary"),
            Tile::new("Seen to succeed", share(ok, all)).note(format!("{ok} of {all}")),
            Tile::new("Seen to fail", share(failed, all)).note(format!("{failed} of {all}")),
            Tile::new("Codes seen", share(seen_codes, self.codes.len()))
                .note(format!("{seen_codes} of {}", self.codes.len())),
        ]);
        let tick = |count: u64, never: &str| match count {
            0 => Cell::status(Tone::Warning, never),
            _ => Cell::status(Tone::Good, "seen"),
        };
        let columns = ["Surface", "Crate", "Access", "Guarantee", "Succeeded", "Failed", "Events"];
        let mut surfaces = Table::new("Surfaces of this binary", &columns);
        for surface in &self.surfaces {
            let (ok, failed) = match (surface.is_counted, surface.cannot_fail) {
                (false, _) => (Cell::text("not counted"), Cell::text("not counted")),
                (true, Some(_)) => (tick(surface.ok, "never"), Cell::text("cannot fail")),
                (true, None) => (tick(surface.ok, "never"), tick(surface.failed, "never")),
            };
            surfaces.push([
                Cell::events_with(EventField::Surface, &surface.surface),
                Cell::name(&surface.crate_name),
                Cell::text(surface.access),
                Cell::text(surface.guarantee),
                ok,
                failed,
                Cell::count(surface.ok + surface.failed),
            ]);
        }
        let mut codes = Table::new("Error codes", &["Code", "Seen", "Events"])
            .when_empty("No error type of this binary lists its codes.");
        for code in &self.codes {
            codes.push([
                Cell::events_with(EventField::Code, &code.code),
                tick(code.events, "never"),
                Cell::count(code.events),
            ]);
        }
        let mut skipped = Table::new("Left out on purpose", &["Surface", "Crate", "Reason"])
            .when_empty("No function of this binary is left out with skip = \"..\".");
        for site in &self.skipped {
            skipped.push([Cell::name(site.surface), Cell::name(site.crate_name), Cell::text(site.reason)]);
        }
        let mut elsewhere = Table::new("Recorded by other programs", &["Surface", "Succeeded", "Failed"])
            .when_empty("Every surface with events in this scope is linked into this binary.");
        for site in &self.elsewhere {
            elsewhere.push([
                Cell::events_with(EventField::Surface, &site.surface),
                Cell::count(site.ok),
                Cell::count(site.failed),
            ]);
        }
        vec![tiles, surfaces.into(), codes.into(), elsewhere.into(), skipped.into()]
    }
}

pub(in crate::dashboard) fn coverage_page(frame: &Frame<'_>, coverage: &Coverage) -> maud::Markup {
    page(
        frame,
        Page {
            nav: Nav::Coverage,
            title: "Coverage",
            lead: "Which recorded operations this scope has seen succeed and fail, of all time.",
            window: None,
            as_of: coverage.as_of_us,
            unread: &coverage.unread,
            is_stale: false,
            body: blocks(frame, &coverage.blocks()),
        },
    )
}
