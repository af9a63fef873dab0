//! The page of the temperature: one line with its bounds, and what was out of them.

use dataset_events_service::dashboard::{
    Block, Cell, LinePlot, Panel, PanelError, PanelRequest, Point, Table, Tile, Tone,
};

use super::{counted, drawn, read, window};
use crate::engines::temperature::{Degrees, Snapshot};
use crate::read_models::{MAX_RECENT, TemperatureView};

/// How many breaches are listed.
const LISTED: usize = 50;

/// The temperature of the scope.
#[derive(Debug, Clone, Copy, Default)]
pub struct TemperaturePanel;

impl Panel for TemperaturePanel {
    fn id(&self) -> &str {
        "temperature"
    }

    fn title(&self) -> &str {
        "Temperature"
    }

    fn description(&self) -> &str {
        "How strained the KPIs are, from 0 to 100, and the bounds that guard the engines."
    }

    fn render(&self, request: &PanelRequest<'_>) -> Result<Vec<Block>, PanelError> {
        let view = read(request, |state| state.temperature.view(window(request), MAX_RECENT))?;
        if view.current.is_none() && view.bounds.is_none() {
            let hint = "POST /v1/temperature/snapshots takes the first temperature.";
            return Ok(vec![Block::empty("No temperature was taken", hint)]);
        }
        let mut blocks = vec![tiles(&view)];
        if view.uncertain > 0 {
            let text = counted(
                view.uncertain,
                "write was cut off: nobody knows whether it counts.",
                "writes were cut off: nobody knows whether they count.",
            );
            blocks.push(Block::notice(Tone::Warning, text));
        }
        if !view.recent.is_empty() {
            blocks.push(plot(&view).into());
        }
        blocks.push(breaches(&view).into());
        Ok(blocks)
    }
}

fn tiles(view: &TemperatureView) -> Block {
    let (tone, note) = match (view.breach, view.current.is_some()) {
        (Some(breach), _) => (Tone::Bad, breach.to_string()),
        (None, true) if view.bounds.is_some() => (Tone::Good, "within the bounds".to_owned()),
        (None, _) => (Tone::Neutral, "not judged".to_owned()),
    };
    let current = view.current.as_ref().map(|snapshot| snapshot.degrees);
    let bounds = view.bounds.as_ref();
    let set_by =
        bounds.map_or("no bounds are set".to_owned(), |bounds| format!("set by {}", bounds.updated_by));
    let out = view.counts.above_ceiling + view.counts.below_floor;
    Block::tiles([
        Tile::new("Now", Cell::or_none(current, Cell::number)).tone(tone).note(note),
        Tile::new("Floor", Cell::or_none(bounds, |bounds| Cell::number(bounds.floor))).note(set_by.clone()),
        Tile::new("Ceiling", Cell::or_none(bounds, |bounds| Cell::number(bounds.ceiling))).note(set_by),
        Tile::new("Out of bounds", Cell::count(out))
            .note(format!("of {} in the window", view.counts.snapshots)),
    ])
}

fn plot(view: &TemperatureView) -> LinePlot {
    let point = |snapshot: &Snapshot| {
        let tone = if snapshot.breach.is_some() { Tone::Bad } else { Tone::Neutral };
        let degrees = snapshot.degrees;
        Point::new(snapshot.taken_at_us, drawn(degrees.number())).exact(degrees).tone(tone)
    };
    let plot = LinePlot::new("Temperature", "").series("temperature", view.recent.iter().map(point));
    // The bounds of their time: a corridor from each snapshot on whose bounds are others than before.
    let mut before: Option<(Option<Degrees>, Option<Degrees>)> = None;
    view.recent.iter().rev().fold(plot, |plot, snapshot| {
        let bounds = (snapshot.floor, snapshot.ceiling);
        if before == Some(bounds) {
            return plot;
        }
        before = Some(bounds);
        let ends = [bounds.0, bounds.1].map(|end| end.map(|degrees| drawn(degrees.number())));
        plot.corridor_from(snapshot.taken_at_us, ends[0], ends[1])
    })
}

fn breaches(view: &TemperatureView) -> Table {
    let columns = ["Taken at", "Temperature", "Side", "Floor", "Ceiling", "KPIs", "By"];
    let table = Table::new("Latest breaches", &columns).when_empty("Nothing was ever out of bounds.");
    view.breaches.iter().take(LISTED).fold(table, |table, snapshot| {
        table.row([
            Cell::time(snapshot.taken_at_us),
            Cell::number(snapshot.degrees),
            Cell::or_none(snapshot.breach, |breach| Cell::status(Tone::Bad, breach.to_string())),
            Cell::or_none(snapshot.floor, Cell::number),
            Cell::or_none(snapshot.ceiling, Cell::number),
            Cell::count(snapshot.kpis),
            Cell::text(&snapshot.taken_by),
        ])
    })
}
