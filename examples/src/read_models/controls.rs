//! Controls: kill switches and strategy locks, and who changed which control, when, from what to what.

use std::collections::BTreeMap;

use dataset_events::read_models::{EventPlace, LatestN, ReadModel};
use dataset_events::{DatasetEvent, SourceRef};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::cause::acting;
use super::reading::{Write, input, output, source_ref, write};
use super::{Cause, Newest};
use crate::engines::kill_switch::{Reason, Switch};
use crate::engines::strategy_lock::{LockId, LockState, StrategyName};
use crate::engines::{ActionPattern, Target};

/// How many changes are kept one by one.
pub const MAX_CHANGES: usize = 200;

/// The surfaces that change what the gate decides by.
const SURFACES: [&str; 9] = [
    "budget.set_policy",
    "kill_switch.update",
    "kpi.define",
    "kpi.set_corridor",
    "strategy_lock.approve",
    "strategy_lock.propose",
    "strategy_lock.release",
    "strategy_lock.withdraw",
    "temperature.set_bounds",
];

/// Follows the controls of a scope.
#[derive(Debug, Clone, Copy, Default)]
pub struct ControlsModel;

/// What is known of a scope's controls.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlsState {
    switches: BTreeMap<String, Newest<SwitchView>>,
    locks: BTreeMap<String, LockSteps>,
    changes: LatestN<ControlChange, MAX_CHANGES>,
    uncertain: u64,
    unreadable: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct LockSteps {
    proposal: Newest<Proposal>,
    approved_by: Newest<String>,
    newest: Newest<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Proposal {
    strategy: StrategyName,
    pattern: ActionPattern,
    reason_bytes: u64,
    by: String,
    at_us: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Step {
    state: LockState,
    by: String,
    at_us: i64,
    cause: Cause,
}

/// The controls of a scope as they are shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ControlsView {
    /// Each switch that was ever set, by target.
    pub switches: Vec<SwitchView>,
    /// How many of them stop something now.
    pub engaged: u64,
    /// The locks, those in force first, then proposals, then what has ended; each the oldest first.
    pub locks: Vec<LockView>,
    /// How many of them are in force.
    pub in_force: u64,
    /// The latest changes of any control, newest first.
    pub changes: Vec<ControlChange>,
    /// Writes of which nobody knows whether they were made.
    pub uncertain: u64,
    /// Events whose captured values could not be read.
    pub unreadable: u64,
}

/// One switch as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwitchView {
    /// The switch.
    #[serde(flatten)]
    pub switch: Switch,
    /// The event that set it.
    pub event: Cause,
}

/// One lock as it is shown: all but the words of its reason, which no event holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LockView {
    /// Its id.
    pub lock_id: LockId,
    /// The strategy that it belongs to.
    pub strategy: StrategyName,
    /// Which actions it stops.
    pub pattern: ActionPattern,
    /// The length of its reason.
    pub reason_bytes: u64,
    /// Where it is on its way.
    pub state: LockState,
    /// How many steps it took.
    pub version: u64,
    /// Who proposed it.
    pub proposed_by: String,
    /// When, in microseconds since 1970 (UTC).
    pub proposed_at_us: i64,
    /// Who approved it.
    pub approved_by: Option<String>,
    /// Who took the last step.
    pub updated_by: String,
    /// When, in microseconds since 1970 (UTC).
    pub updated_at_us: i64,
    /// The event of the last step.
    pub event: Cause,
}

/// One change of a control.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlChange {
    /// The surface that made it.
    pub surface: String,
    /// Who.
    pub by: String,
    /// Of what.
    pub source_refs: Vec<SourceRef>,
    /// What was changed; empty for a write that left all as it was.
    pub changes: Vec<FieldChange>,
    /// The event.
    pub event: Cause,
}

/// A field before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldChange {
    /// The field.
    pub field: String,
    /// Its value before.
    pub before: Value,
    /// Its value after.
    pub after: Value,
}

impl ControlsState {
    /// The controls with the latest `limit` changes.
    pub fn view(&self, limit: usize) -> ControlsView {
        let switches: Vec<SwitchView> = self.switches.values().filter_map(Newest::get).cloned().collect();
        let locks = self.locks.iter().filter_map(|(lock_id, steps)| steps.view(lock_id));
        let mut locks: Vec<LockView> = locks.collect();
        locks.sort_by(|left, right| {
            let key = |lock: &LockView| {
                let rank = match lock.state {
                    LockState::InForce => 0,
                    LockState::Proposed => 1,
                    _ => 2,
                };
                (rank, lock.proposed_at_us)
            };
            key(left).cmp(&key(right)).then_with(|| left.lock_id.cmp(&right.lock_id))
        });
        ControlsView {
            engaged: switches.iter().filter(|switch| switch.switch.is_engaged).count() as u64,
            switches,
            in_force: locks.iter().filter(|lock| lock.state == LockState::InForce).count() as u64,
            locks,
            changes: self.changes.newest_first().take(limit).map(|(_, change)| change.clone()).collect(),
            uncertain: self.uncertain,
            unreadable: self.unreadable,
        }
    }
}

impl LockSteps {
    /// `None` for a lock whose proposal no event tells.
    fn view(&self, lock_id: &str) -> Option<LockView> {
        let (proposal, newest) = (self.proposal.get()?, self.newest.get()?);
        Some(LockView {
            lock_id: lock_id.parse().ok()?,
            strategy: proposal.strategy.clone(),
            pattern: proposal.pattern.clone(),
            reason_bytes: proposal.reason_bytes,
            state: newest.state,
            version: self.newest.version(),
            proposed_by: proposal.by.clone(),
            proposed_at_us: proposal.at_us,
            approved_by: self.approved_by.get().cloned(),
            updated_by: newest.by.clone(),
            updated_at_us: newest.at_us,
            event: newest.cause.clone(),
        })
    }
}

#[derive(Deserialize)]
struct Update {
    target: Target,
    change: String,
    reason: Reason,
}

#[derive(Deserialize)]
struct Proposed {
    strategy: StrategyName,
    pattern: ActionPattern,
    reason_bytes: u64,
}

#[derive(Deserialize)]
struct Changed {
    version: u64,
    updated_at_us: Option<i64>,
}

fn switch(event: &DatasetEvent) -> Option<SwitchView> {
    let Update { target, change, reason } = input(event)?;
    let Changed { version, updated_at_us } = output(event)?;
    let updated_at_us = updated_at_us.unwrap_or(event.started_at);
    let (is_engaged, updated_by) = (change == "engage", acting(event));
    let switch = Switch { target, is_engaged, reason, version, updated_by, updated_at_us };
    Some(SwitchView { switch, event: Cause::of(event) })
}

fn change(event: &DatasetEvent) -> ControlChange {
    // A value of an event is JSON.
    let value = |raw: &serde_json::value::RawValue| serde_json::from_str(raw.get()).unwrap_or_default();
    let changes = event.changes.iter().map(|change| FieldChange {
        field: change.field.clone(),
        before: value(&change.before),
        after: value(&change.after),
    });
    ControlChange {
        surface: event.surface.clone(),
        by: acting(event),
        source_refs: event.source_refs.clone(),
        changes: changes.collect(),
        event: Cause::of(event),
    }
}

impl ControlsState {
    /// `None` when the event does not hold what it should.
    fn made(&mut self, event: &DatasetEvent) -> Option<()> {
        let state = match &*event.surface {
            "kill_switch.update" => {
                let view = switch(event)?;
                let switch = self.switches.entry(view.switch.target.to_string()).or_default();
                switch.offer(view.switch.version, EventPlace::of(event), view);
                return Some(());
            }
            "strategy_lock.propose" => LockState::Proposed,
            "strategy_lock.approve" => LockState::InForce,
            "strategy_lock.withdraw" => LockState::Withdrawn,
            "strategy_lock.release" => LockState::Released,
            // The others have models of their own.
            _ => return Some(()),
        };
        self.step(event, state)
    }

    fn step(&mut self, event: &DatasetEvent, state: LockState) -> Option<()> {
        let (place, by) = (EventPlace::of(event), acting(event));
        let Changed { version, updated_at_us } = output(event)?;
        let at_us = updated_at_us.unwrap_or(event.started_at);
        let lock_id = source_ref(event, "strategy_lock")?;
        let proposal: Option<Proposed> = match state {
            LockState::Proposed => Some(input(event)?),
            _ => None,
        };
        let lock = self.locks.entry(lock_id.to_owned()).or_default();
        if let Some(Proposed { strategy, pattern, reason_bytes }) = proposal {
            let proposal = Proposal { strategy, pattern, reason_bytes, by: by.clone(), at_us };
            lock.proposal.offer(version, place, proposal);
        }
        if state == LockState::InForce {
            lock.approved_by.offer(version, place, by.clone());
        }
        lock.newest.offer(version, place, Step { state, by, at_us, cause: Cause::of(event) });
        Some(())
    }
}

impl ReadModel for ControlsModel {
    type State = ControlsState;
    const NAME: &'static str = "controls";
    const VERSION: u32 = 1;

    fn selects(&self, event: &DatasetEvent) -> bool {
        SURFACES.contains(&&*event.surface)
    }

    fn apply(&self, state: &mut ControlsState, event: &DatasetEvent) {
        match write(event) {
            Write::Refused => {}
            Write::Uncertain => state.uncertain += 1,
            Write::Made => {
                state.changes.offer(EventPlace::of(event), || change(event));
                if state.made(event).is_none() {
                    state.unreadable += 1;
                }
            }
        }
    }
}
