//! The page of the budget: what was spent, by whom it was earned, what is left.

use std::cmp::Reverse;

use dataset_events_service::dashboard::{
    BarChart, Block, Cell, Panel, PanelError, PanelRequest, Table, Tile, Tone,
};

use super::{drawn, read, window};
use crate::engines::budget::{Label, Money, month_of};
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
            let text = format!("{} usages were cut off: nobody knows whether they count.", view.uncertain);
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
    Block::tiles([spent, left, limit, windowed.note(format!("{} entries", view.window.entries))])
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
    // The most first, and what nobody is named for at the end.
    names.sort_by_key(|row| (row.name.is_none(), Reverse(row.total)));
    names.into_iter().fold(chart, |chart, row| {
        chart.bar(named(row.name.as_ref()), drawn(row.total.amount()), shown(row.total))
    })
}

fn kinds(view: &BudgetView) -> Table {
    let table = Table::new("By kind, this month", &["Kind", "Entries", "Spent"]);
    let table = table.when_empty("Nothing was spent this month.");
    view.kinds.iter().fold(table, |table, kind| {
        table.row([Cell::name(kind.kind.as_str()), Cell::count(kind.entries), shown(kind.total)])
    })
}

fn origins(view: &BudgetView) -> Table {
    let columns = ["Provider", "Model", "Tool", "Entries", "Spent"];
    let table = Table::new("By provider, model and tool, in the window", &columns);
    view.window.origins.iter().fold(table, |table, paid| {
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
