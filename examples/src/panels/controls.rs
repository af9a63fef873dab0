//! The page of the controls: what stops what, and who changed it.

use dataset_events_service::dashboard::{
    Block, Cell, Panel, PanelError, PanelRequest, Table, Tile, Timeline, TimelineEntry, Tone,
};
use serde_json::Value;

use super::read;
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
            let text =
                format!("{} changes were cut off: nobody knows whether they were made.", view.uncertain);
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
        let entry = change.changes.iter().fold(entry, |entry, field| {
            entry.change(field.field.replace('_', " "), &shown(&field.before), &shown(&field.after))
        });
        timeline.entry(entry)
    })
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
