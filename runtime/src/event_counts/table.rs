//! The series, and the names that they are made of, each held once.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher as _;

use super::{CutSeries, EventCount};
use crate::event::Outcome;
use crate::ids::Scope;

/// Cut series are told apart up to this many.
const KNOWN_CUT: usize = 1_000_000;
/// The number of no code.
const NO_CODE: u32 = 0;

/// One event, as far as it is counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind<'a> {
    pub(super) tenant_id: &'a str,
    pub(super) env: &'a str,
    pub(super) surface: &'a str,
    pub(super) outcome: Outcome,
    pub(super) code: Option<&'a str>,
}

/// Names and their numbers, from 1.
#[derive(Default)]
struct Names {
    numbers: HashMap<Box<str>, u32>,
    texts: Vec<Box<str>>,
}

impl Names {
    fn find(&self, name: &str) -> Option<u32> {
        self.numbers.get(name).copied()
    }

    fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.find(name) {
            return number;
        }
        self.texts.push(name.into());
        let number = self.texts.len() as u32;
        self.numbers.insert(name.into(), number);
        number
    }

    fn text(&self, number: u32) -> &str {
        // Numbers come from `number` alone, and 0 is asked for nowhere.
        self.texts.get(number as usize - 1).map_or("", |text| text)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    scope: u32,
    surface: u32,
    code: u32,
    outcome: Outcome,
}

struct Series {
    key: Key,
    events: u64,
}

pub(super) struct Table {
    max_series: usize,
    /// By `tenant/env`; no tenant or env can hold the slash.
    scope_numbers: HashMap<Box<str>, u32>,
    scopes: Vec<Scope>,
    surfaces: Names,
    codes: Names,
    by_key: HashMap<Key, u32>,
    series: Vec<Series>,
    /// Places in `series` in the order of names; the last `unsorted` ones are not in their place yet.
    order: Vec<u32>,
    unsorted: usize,
    total: u64,
    cut: CutSeries,
    known_cut: HashSet<u64>,
    hasher: RandomState,
    scratch: String,
}

impl Table {
    pub(super) fn new(max_series: usize) -> Self {
        Self {
            max_series: max_series.min(u32::MAX as usize - 1),
            scope_numbers: HashMap::new(),
            scopes: Vec::new(),
            surfaces: Names::default(),
            codes: Names::default(),
            by_key: HashMap::new(),
            series: Vec::new(),
            order: Vec::new(),
            unsorted: 0,
            total: 0,
            cut: CutSeries::default(),
            known_cut: HashSet::new(),
            hasher: RandomState::new(),
            scratch: String::new(),
        }
    }

    pub(super) fn max_series(&self) -> usize {
        self.max_series
    }

    /// Counts events of one kind. False when its scope is none.
    pub(super) fn add(&mut self, kind: Kind<'_>, events: u64) -> bool {
        self.scratch.clear();
        self.scratch.push_str(kind.tenant_id);
        self.scratch.push('/');
        self.scratch.push_str(kind.env);
        if let Some(key) = self.known_key(kind)
            && let Some(at) = self.by_key.get(&key)
        {
            self.series[*at as usize].events += events;
            self.total += events;
            return true;
        }
        let Ok(scope) = Scope::from_stored(kind.tenant_id, kind.env) else { return false };
        self.total += events;
        if self.series.len() >= self.max_series {
            self.cut(kind, events);
            return true;
        }
        let key = self.new_key(kind, scope);
        let at = self.series.len() as u32;
        self.series.push(Series { key, events });
        self.by_key.insert(key, at);
        self.order.push(at);
        self.unsorted += 1;
        true
    }

    fn known_key(&self, kind: Kind<'_>) -> Option<Key> {
        Some(Key {
            scope: *self.scope_numbers.get(&*self.scratch)?,
            surface: self.surfaces.find(kind.surface)?,
            code: kind.code.map_or(Some(NO_CODE), |code| self.codes.find(code))?,
            outcome: kind.outcome,
        })
    }

    fn new_key(&mut self, kind: Kind<'_>, scope: Scope) -> Key {
        let known = self.scope_numbers.get(&*self.scratch).copied();
        let scope = known.unwrap_or_else(|| {
            self.scopes.push(scope);
            let number = self.scopes.len() as u32;
            self.scope_numbers.insert(self.scratch.as_str().into(), number);
            number
        });
        Key {
            scope,
            surface: self.surfaces.number(kind.surface),
            code: kind.code.map_or(NO_CODE, |code| self.codes.number(code)),
            outcome: kind.outcome,
        }
    }

    fn cut(&mut self, kind: Kind<'_>, events: u64) {
        self.cut.events += events;
        let hash = self.hasher.hash_one((&*self.scratch, kind.surface, kind.outcome, kind.code));
        if self.known_cut.contains(&hash) {
            return;
        }
        if self.known_cut.len() < KNOWN_CUT {
            self.known_cut.insert(hash);
            self.cut.series += 1;
        } else {
            self.cut.is_lower_bound = true;
        }
    }

    /// Puts new series into their place among the others.
    pub(super) fn sort(&mut self) {
        if self.unsorted == 0 {
            return;
        }
        self.unsorted = 0;
        let mut order = std::mem::take(&mut self.order);
        // The old ones are a sorted run already, which this sort makes use of.
        order.sort_by(|one, other| {
            let (one, other) = (self.count(*one), self.count(*other));
            let scopes = one.scope.cmp(other.scope);
            let ends = |count: &EventCount<'_>| (count.outcome as u8, count.code.is_some());
            scopes
                .then_with(|| one.surface.cmp(other.surface))
                .then_with(|| ends(&one).cmp(&ends(&other)))
                .then_with(|| one.code.cmp(&other.code))
        });
        self.order = order;
    }

    fn count(&self, at: u32) -> EventCount<'_> {
        let Series { key, events } = &self.series[at as usize];
        EventCount {
            scope: &self.scopes[key.scope as usize - 1],
            surface: self.surfaces.text(key.surface),
            outcome: key.outcome,
            code: (key.code != NO_CODE).then(|| self.codes.text(key.code)),
            events: *events,
        }
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = EventCount<'_>> {
        self.order.iter().map(|at| self.count(*at))
    }

    pub(super) fn total(&self) -> u64 {
        self.total
    }

    pub(super) fn cut_series(&self) -> CutSeries {
        self.cut
    }
}
