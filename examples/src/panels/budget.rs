//! The page of the budget: what was spent, by whom it was earned, what is left.

use std::cmp::Reverse;

use dataset_events_service::dashboard::{
    BarChart, Block, Cell, Panel, PanelError, PanelRequest, Table, Tile, Tone,
};

use super::{counted, drawn, read, window};
use crate::engines::budget::{KindTotal, Label, Money, OriginTotal, month_of};
use crate::read_models::{BudgetView, NameTotal};

/// The budget of this month, and what was spent in the window.
#[derive(Debug, Clone, Copy, Default)]
pub struct BudgetPanel;

impl Panel for BudgetPanel {
    fn id(&self) -> &str {
        "budget"
    }

    fn title(&self) -> &str {
        "Budget"
    }

    fn description(&self) -> &str {
        "What may be spent this month, what was spent, and on what."
    }

    fn render(&self, request: &PanelRequest<'_>) -> Result<Vec<Block>, PanelError> {
        let month = month_of(request.end_us().saturating_sub(1));
        let view = read(request, |state| state.budget.view(&month, window(request)))?;
        if view.policy.is_none() && view.months.is_empty() {
            return Ok(vec![Block::empty("No budget is set", "PUT /v1/budget/policy sets one.")]);
        }
        let mut blocks = vec![tiles(&view)];
        if view.uncertain > 0 {
            let text = counted(
                view.uncertain,
                "usage was cut off: nobody knows whether it counts.",
                "usages were cut off: nobody knows whether they count.",
            );
            blocks.push(Block::notice(Tone::Warning, text));
        }
        for (title, names) in
            [("By provider", &view.providers), ("By model", &view.models), ("By tool", &view.tools)]
        {
            blocks.push(chart(title, names).into());
        }
        blocks.extend([kinds(&view).into(), origins(&view).into(), months(&view).into()]);
        Ok(blocks)
    }
}

fn tiles(view: &BudgetView) -> Block {
    let currency = view.policy.as_ref().map(|policy| policy.currency.to_string()).unwrap_or_default();
    let spent =
        Tile::new("Spent this month", shown(view.spent)).note(format!("{currency} in {}", view.month));
    let (left, limit) = match (&view.policy, view.remaining) {
        (Some(policy), Some(remaining)) => {
            let (tone, note) = match view.is_over_limit {
                true => (Tone::Bad, "the limit is passed"),
                false => (Tone::Good, "within the limit"),
            };
            let left = Tile::new("Remaining", shown(remaining)).tone(tone).note(note);
            let by = format!("set by {}, version {}", policy.updated_by, policy.version);
            (left, Tile::new("Limit", shown(policy.limit)).note(by))
        }
        _ => {
            let none = || Cell::None;
            let left = Tile::new("Remaining", none())
                .tone(Tone::Warning)
                .note("without a policy nothing may be spent");
            (left, Tile::new("Limit", none()).note("no policy is set"))
        }
    };
    let windowed = Tile::new("Spent in the window", shown(view.window.spent));
    Block::tiles([spent, left, limit, windowed.note(counted(view.window.entries, "entry", "entries"))])
}

/// Exact, with the two places that money has at least.
fn shown(money: Money) -> Cell {
    let mut amount = money.amount();
    amount.rescale(amount.scale().max(2));
    Cell::number(amount)
}

fn named(name: Option<&Label>) -> String {
    name.map_or("(none)".to_owned(), ToString::to_string)
}

fn chart(title: &str, names: &[NameTotal]) -> BarChart {
    let chart = BarChart::new(format!("{title}, this month")).when_empty("Nothing was spent this month.");
    let mut names: Vec<&NameTotal> = names.iter().collect();
    // The most first, equal ones by name, and what nobody is named for behind those.
    names.sort_by(|left, right| {
        let key = |row: &NameTotal| (Reverse(row.total), row.name.is_none());
        key(left).cmp(&key(right)).then_with(|| left.name.cmp(&right.name))
    });
    names.into_iter().fold(chart, |chart, row| {
        chart.bar(named(row.name.as_ref()), drawn(row.total.amount()), shown(row.total))
    })
}

fn kinds(view: &BudgetView) -> Table {
    let table = Table::new("By kind, this month", &["Kind", "Entries", "Spent"]);
    let table = table.when_empty("Nothing was spent this month.");
    let mut kinds: Vec<&KindTotal> = view.kinds.iter().collect();
    kinds.sort_by_key(|kind| Reverse(kind.total));
    kinds.into_iter().fold(table, |table, kind| {
        table.row([Cell::name(kind.kind.as_str()), Cell::count(kind.entries), shown(kind.total)])
    })
}

fn origins(view: &BudgetView) -> Table {
    let columns = ["Provider", "Model", "Tool", "Entries", "Spent"];
    let table = Table::new("By provider, model and tool, in the window", &columns);
    let mut origins: Vec<&OriginTotal> = view.window.origins.iter().collect();
    origins.sort_by_key(|paid| Reverse(paid.total));
    origins.into_iter().fold(table, |table, paid| {
        let origin = &paid.origin;
        table.row([
            Cell::name(named(origin.provider.as_ref())),
            Cell::name(named(origin.model.as_ref())),
            Cell::name(named(origin.tool.as_ref())),
            Cell::count(paid.entries),
            shown(paid.total),
        ])
    })
}

fn months(view: &BudgetView) -> Table {
    let table = Table::new("By month", &["Month", "Entries", "Spent"]);
    let table = table.when_empty("Nothing was ever spent.");
    view.months.iter().rev().fold(table, |table, month| {
        table.row([Cell::text(&month.month), Cell::count(month.entries), shown(month.total)])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_in_the_order_of_their_amounts_and_equal_ones_by_name() {
        let row = |name: Option<&str>, total: &str| NameTotal {
            name: name.map(|name| name.parse().expect("a label")),
            total: Money::new(total.parse().expect("a decimal")).expect("money"),
            entries: 1,
        };
        let rows = [
            row(None, "7"),
            row(Some("openai"), "2.5"),
            row(Some("print_shop"), "12"),
            row(None, "2.5"),
            row(Some("anthropic"), "2.50"),
        ];
        let bars = chart("By provider", &rows).bars;
        let bars: Vec<(&str, f64)> = bars.iter().map(|bar| (bar.label.as_str(), bar.length)).collect();
        let expected =
            [("print_shop", 12.0), ("(none)", 7.0), ("anthropic", 2.5), ("openai", 2.5), ("(none)", 2.5)];
        assert_eq!(bars, expected);
    }
}
