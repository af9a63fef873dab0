//! The page of the controls: what stops what, and who changed it.

use std::collections::BTreeSet;

use dataset_events_service::dashboard::{
    Block, Cell, Panel, PanelError, PanelRequest, Table, Tile, Timeline, TimelineEntry, Tone,
};
use serde_json::{Map, Value};

use super::{counted, read};
use crate::engines::strategy_lock::LockState;
use crate::read_models::{ControlChange, ControlsView, LockView, SwitchView};

/// How many changes and ended locks are shown.
const SHOWN: usize = 50;

/// Kill switches, strategy locks, and the latest changes of any control.
#[derive(Debug, Clone, Copy, Default)]
pub struct ControlsPanel;

impl Panel for ControlsPanel {
    fn id(&self) -> &str {
        "controls"
    }

    fn title(&self) -> &str {
        "Controls"
    }

    fn description(&self) -> &str {
        "What stops which engine, and who changed it, when, from what to what."
    }

    fn has_windows(&self) -> bool {
        false
    }

    fn render(&self, request: &PanelRequest<'_>) -> Result<Vec<Block>, PanelError> {
        let view = read(request, |state| state.controls.view(SHOWN))?;
        let mut blocks = vec![tiles(&view)];
        if view.uncertain > 0 {
            let text = counted(
                view.uncertain,
                "change was cut off: nobody knows whether it was made.",
                "changes were cut off: nobody knows whether they were made.",
            );
            blocks.push(Block::notice(Tone::Warning, text));
        }
        blocks.extend([switches(&view.switches).into(), locks(&view.locks).into()]);
        blocks.push(changes(&view.changes).into());
        Ok(blocks)
    }
}

fn tiles(view: &ControlsView) -> Block {
    let tone = |count| if count > 0 { Tone::Bad } else { Tone::Good };
    let tile = |label, count, stops| {
        let note = if count > 0 { stops } else { "nothing is stopped" };
        Tile::new(label, Cell::count(count)).tone(tone(count)).note(note)
    };
    Block::tiles([
        tile("Switches engaged", view.engaged, "engines are stopped"),
        tile("Locks in force", view.in_force, "actions are stopped"),
    ])
}

fn switches(switches: &[SwitchView]) -> Table {
    let columns = ["Target", "State", "Reason", "Version", "Set by", "At"];
    let mut table = Table::new("Kill switches", &columns).when_empty("No switch was ever set.");
    for SwitchView { switch, event } in switches {
        let state = match switch.is_engaged {
            true => Cell::status(Tone::Bad, "engaged"),
            false => Cell::status(Tone::Good, "released"),
        };
        table.push([
            Cell::name(switch.target.as_str()),
            state,
            Cell::text(switch.reason.as_str()),
            Cell::count(switch.version),
            Cell::text(&switch.updated_by),
            Cell::event_time(event.place()),
        ]);
    }
    table
}

fn locks(locks: &[LockView]) -> Table {
    let columns = ["Strategy", "Stops", "State", "Proposed by", "Approved by", "Last step by", "At"];
    let mut table = Table::new("Strategy locks", &columns).when_empty("No lock was ever proposed.");
    for lock in locks.iter().take(SHOWN) {
        let tone = match lock.state {
            LockState::InForce => Tone::Bad,
            LockState::Proposed => Tone::Warning,
            _ => Tone::Neutral,
        };
        table.push([
            Cell::name(lock.strategy.as_str()),
            Cell::name(lock.pattern.as_str()),
            Cell::status(tone, lock.state.as_str().replace('_', " ")),
            Cell::text(&lock.proposed_by),
            Cell::or_none(lock.approved_by.as_ref(), Cell::text),
            Cell::text(&lock.updated_by),
            Cell::event_time(lock.event.place()),
        ]);
    }
    table.left_out(locks.len().saturating_sub(SHOWN) as u64)
}

fn changes(changes: &[ControlChange]) -> Timeline {
    let timeline = Timeline::new("Latest changes").when_empty("No control was ever changed.");
    changes.iter().fold(timeline, |timeline, change| {
        let event = &change.event;
        let entry = TimelineEntry::new(event.recorded_at_us, &change.surface).actor(&change.by);
        let entry = change.source_refs.iter().fold(entry.event(event.place()), |entry, named| {
            entry.fact(named.kind.replace('_', " "), Cell::name(&named.id))
        });
        let steps = change.changes.iter().flat_map(|field| steps(&field.field, &field.before, &field.after));
        timeline
            .entry(steps.fold(entry, |entry, (field, before, after)| entry.change(field, &before, &after)))
    })
}

/// A change of a field as name, before and after; of a field that has fields of its own, those that changed.
fn steps(field: &str, before: &Value, after: &Value) -> Vec<(String, String, String)> {
    // Beside a value of another kind an object is one value too.
    let has_parts = [before, after].into_iter().all(|value| value.is_object() || value.is_null());
    let objects = [before, after].into_iter().filter(|_| has_parts).filter_map(Value::as_object);
    let parts = objects.flat_map(Map::keys);
    let parts: BTreeSet<(usize, &String)> = parts.map(|name| (rank(name), name)).collect();
    if parts.is_empty() {
        let name = field.strip_prefix("is_").unwrap_or(field).replace('_', " ");
        return vec![(name, shown(field, before), shown(field, after))];
    }
    let part = |value: &Value, name: &str| value.get(name).cloned().unwrap_or_default();
    let changed = parts.into_iter().map(|(_, name)| (name, part(before, name), part(after, name)));
    let changed = changed.filter(|(_, before, after)| before != after);
    changed.flat_map(|(name, before, after)| steps(&format!("{field}_{name}"), &before, &after)).collect()
}

/// The lower end stands before the upper one, and what follows from them behind both.
fn rank(part: &str) -> usize {
    ["low", "high", "guards", "weight"].iter().position(|known| *known == part).unwrap_or(usize::MAX)
}

/// A value in words: names that programs give are taken apart, what people wrote is left as it is.
fn shown(field: &str, value: &Value) -> String {
    match value {
        Value::Null => "not set".to_owned(),
        Value::Object(parts) if parts.is_empty() => "empty".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) if matches!(field, "direction" | "state") => text.replace('_', " "),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(field: &str, before: Value, after: Value) -> Vec<String> {
        let steps = steps(field, &before, &after).into_iter();
        steps.map(|(name, before, after)| format!("{name}: {before} to {after}")).collect()
    }

    #[test]
    fn a_change_is_said_in_words_and_figures() {
        assert_eq!(said("is_engaged", json!(false), json!(true)), ["engaged: no to yes"]);
        assert_eq!(said("limit", Value::Null, json!("12.50")), ["limit: not set to 12.50"]);
        assert_eq!(said("state", json!("proposed"), json!("in_force")), ["state: proposed to in force"]);
        assert_eq!(said("unit", json!("old_unit"), json!("per_cent")), ["unit: old_unit to per_cent"]);
    }

    #[test]
    fn what_becomes_a_value_of_another_kind_is_said_as_a_whole() {
        assert_eq!(said("limit", json!({"eur": 5}), json!("12.50")), [r#"limit: {"eur":5} to 12.50"#]);
        assert_eq!(said("limit", json!(3), json!({"eur": 5})), [r#"limit: 3 to {"eur":5}"#]);
        assert_eq!(said("limits", Value::Null, json!({})), ["limits: not set to empty"]);
        assert_eq!(said("limits", json!({"eur": 5}), json!({})), ["limits eur: 5 to not set"]);
    }

    #[test]
    fn of_a_corridor_what_changed_is_said_field_by_field() {
        let corridor =
            |low: &str, guards: Value| json!({"low": low, "high": "100", "guards": guards, "weight": 1});
        assert_eq!(
            said("corridor", Value::Null, corridor("80", Value::Null)),
            ["corridor low: not set to 80", "corridor high: not set to 100", "corridor weight: not set to 1"]
        );
        assert_eq!(
            said("corridor", corridor("80", Value::Null), corridor("82.5", json!("chat"))),
            ["corridor low: 80 to 82.5", "corridor guards: not set to chat"]
        );
    }
}
