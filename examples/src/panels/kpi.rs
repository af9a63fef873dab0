//! The page of the KPIs: the latest values against their corridors, and each as a line.

use dataset_events_service::dashboard::{
    Block, Cell, LinePlot, Panel, PanelError, PanelRequest, Point, Table, Tile, Tone,
};

use super::{counted, drawn, read};
use crate::read_models::{KpiView, KpisView, MAX_HISTORY};

/// How many KPIs are drawn; all are in the table.
const PLOTS: usize = 12;

/// The KPIs with their corridors.
#[derive(Debug, Clone, Copy, Default)]
pub struct KpiPanel;

impl Panel for KpiPanel {
    fn id(&self) -> &str {
        "kpi"
    }

    fn title(&self) -> &str {
        "KPIs"
    }

    fn description(&self) -> &str {
        "Named numbers, the corridor each should stay in, and where each stands."
    }

    fn has_windows(&self) -> bool {
        false
    }

    fn render(&self, request: &PanelRequest<'_>) -> Result<Vec<Block>, PanelError> {
        let view = read(request, |state| state.kpi.view(MAX_HISTORY))?;
        if view.kpis.is_empty() {
            return Ok(vec![Block::empty("No KPI is defined", "PUT /v1/kpis/{name} defines one.")]);
        }
        let (tone, note) = match view.outside {
            0 => (Tone::Good, "all are inside their corridors"),
            _ => (Tone::Bad, "the latest value is outside the corridor"),
        };
        let mut blocks = vec![Block::tiles([
            Tile::new("KPIs", Cell::count(view.kpis.len() as u64)).note("defined"),
            Tile::new("Outside", Cell::count(view.outside)).tone(tone).note(note),
        ])];
        if view.uncertain > 0 {
            let text = counted(
                view.uncertain,
                "write was cut off: nobody knows whether it counts.",
                "writes were cut off: nobody knows whether they count.",
            );
            blocks.push(Block::notice(Tone::Warning, text));
        }
        blocks.push(table(&view).into());
        let with_readings = view.kpis.iter().filter(|kpi| !kpi.history.is_empty());
        blocks.extend(with_readings.take(PLOTS).map(|kpi| plot(kpi).into()));
        Ok(blocks)
    }
}

fn table(view: &KpisView) -> Table {
    let columns = ["KPI", "Latest", "Unit", "At", "Low", "High", "State", "Guards", "Defined by"];
    let mut table = Table::new("KPIs", &columns);
    for KpiView { kpi, latest, is_in_corridor, definition_event, .. } in &view.kpis {
        let corridor = kpi.corridor.as_ref();
        let state = match is_in_corridor {
            Some(true) => Cell::status(Tone::Good, "inside"),
            Some(false) => Cell::status(Tone::Bad, "outside"),
            None => Cell::status(Tone::Neutral, "not judged"),
        };
        table.push([
            Cell::name(kpi.name.as_str()),
            Cell::or_none(latest.as_ref(), |reading| Cell::number(reading.value)),
            Cell::text(kpi.unit.as_str()),
            Cell::or_none(latest.as_ref(), |reading| Cell::time(reading.at_us)),
            Cell::or_none(corridor, |corridor| Cell::number(corridor.low)),
            Cell::or_none(corridor, |corridor| Cell::number(corridor.high)),
            state,
            Cell::or_none(corridor.and_then(|corridor| corridor.guards.as_ref()), |guards| {
                Cell::name(guards.as_str())
            }),
            Cell::event(definition_event.place(), &kpi.updated_by),
        ]);
    }
    table
}

fn plot(view: &KpiView) -> LinePlot {
    let corridor = view.kpi.corridor.as_ref();
    let points = view.history.iter().map(|point| {
        let is_outside = corridor.is_some_and(|corridor| !corridor.holds(point.value));
        let tone = if is_outside { Tone::Bad } else { Tone::Neutral };
        Point::new(point.at_us, drawn(point.value.number())).exact(point.value).tone(tone)
    });
    let plot = LinePlot::new(view.kpi.name.as_str(), view.kpi.unit.as_str());
    let plot = plot.series(view.kpi.name.as_str(), points);
    match corridor {
        Some(corridor) => {
            plot.corridor(Some(drawn(corridor.low.number())), Some(drawn(corridor.high.number())))
        }
        None => plot,
    }
}
