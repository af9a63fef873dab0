//! The budget: the policy in force, what was spent by kind, provider, model and tool, what is left.

use std::collections::BTreeMap;

use dataset_events::DatasetEvent;
use dataset_events::read_models::{Bucket, DecimalSum, EventPlace, ReadModel, Windowed};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::cause::acting;
use super::reading::{Write, input, output, write};
use super::{Cause, Newest, Span, Window};
use crate::engines::budget::{
    Currency, KindTotal, Label, Money, Origin, OriginTotal, Policy, UsageKind, month_of,
};

/// Follows the budget of a scope.
#[derive(Debug, Clone, Copy, Default)]
pub struct BudgetModel;

/// What is known of a scope's budget.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetState {
    policy: Newest<(Policy, Cause)>,
    /// By the calendar month of the engine's time.
    months: BTreeMap<String, Spending>,
    /// By the engine's time.
    spending: Windowed<Spending>,
    uncertain: u64,
    unreadable: u64,
}

/// What was spent in a span of time, by kind and by who was paid.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Spending(BTreeMap<String, Spent>);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Spent {
    entries: u64,
    sum: DecimalSum,
}

/// The budget of a scope as it is shown: a month, and a window beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BudgetView {
    /// The month, `YYYY-MM` (UTC).
    pub month: String,
    /// The policy in force.
    pub policy: Option<Policy>,
    /// The event that set it.
    pub policy_event: Option<Cause>,
    /// What was spent in the month.
    pub spent: Money,
    /// What is left of the limit in the month; `None` without a policy.
    pub remaining: Option<Money>,
    /// Whether more was spent than the limit.
    pub is_over_limit: bool,
    /// The month by kind, in the order of their names.
    pub kinds: Vec<KindTotal>,
    /// The month by provider, model and tool, in the order of their names.
    pub origins: Vec<OriginTotal>,
    /// The month by provider.
    pub providers: Vec<NameTotal>,
    /// The month by model.
    pub models: Vec<NameTotal>,
    /// The month by tool.
    pub tools: Vec<NameTotal>,
    /// Every month with usage, oldest first.
    pub months: Vec<MonthTotal>,
    /// What was spent in the window.
    pub window: WindowSpending,
    /// Writes of which nobody knows whether they were made.
    pub uncertain: u64,
    /// Events whose captured values could not be read.
    pub unreadable: u64,
}

/// What was paid to one provider, model or tool; `None`: to none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NameTotal {
    /// The provider, the model or the tool.
    pub name: Option<Label>,
    /// The sum.
    pub total: Money,
    /// Of how many entries.
    pub entries: u64,
}

/// What was spent in a month.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MonthTotal {
    /// The month, `YYYY-MM` (UTC).
    pub month: String,
    /// The sum.
    pub total: Money,
    /// Of how many entries.
    pub entries: u64,
}

/// What was spent in a window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WindowSpending {
    /// The span that the sums are of.
    pub span: Span,
    /// The sum.
    pub spent: Money,
    /// Of how many entries.
    pub entries: u64,
    /// By kind, in the order of their names.
    pub kinds: Vec<KindTotal>,
    /// By provider, model and tool, in the order of their names.
    pub origins: Vec<OriginTotal>,
}

impl Spent {
    fn merge(&mut self, other: &Self) {
        self.entries += other.entries;
        self.sum.merge(&other.sum);
    }

    /// Sums of money saturate, in the engine too; of amounts that are not negative that is the same in any order.
    fn money(&self) -> Money {
        let sum = self.sum.to_string().parse::<Decimal>().unwrap_or(Decimal::MAX);
        Money::new(sum).unwrap_or(Money::MAX)
    }
}

impl Spending {
    /// The sums by what `key` makes of kind and origin.
    fn grouped<K: Ord>(&self, key: impl Fn(UsageKind, Origin) -> K) -> BTreeMap<K, Spent> {
        let mut groups: BTreeMap<K, Spent> = BTreeMap::new();
        for (group, spent) in &self.0 {
            // A key was made by serialising such a pair.
            if let Ok((kind, origin)) = serde_json::from_str(group) {
                groups.entry(key(kind, origin)).or_default().merge(spent);
            }
        }
        groups
    }

    fn kinds(&self) -> Vec<KindTotal> {
        let kinds = self.grouped(|kind, _| (kind.as_str(), kind));
        let total = |((_, kind), spent): ((&str, UsageKind), Spent)| KindTotal {
            kind,
            total: spent.money(),
            entries: spent.entries,
        };
        kinds.into_iter().map(total).collect()
    }

    fn origins(&self) -> Vec<OriginTotal> {
        let origins = self.grouped(|_, origin| origin).into_iter();
        origins
            .map(|(origin, spent)| OriginTotal { origin, total: spent.money(), entries: spent.entries })
            .collect()
    }

    fn names(&self, name: impl Fn(Origin) -> Option<Label>) -> Vec<NameTotal> {
        let names = self.grouped(|_, origin| name(origin)).into_iter();
        names.map(|(name, spent)| NameTotal { name, total: spent.money(), entries: spent.entries }).collect()
    }

    fn total(&self) -> Spent {
        let mut total = Spent::default();
        self.0.values().for_each(|spent| total.merge(spent));
        total
    }
}

impl Bucket for Spending {
    fn merge(&mut self, other: &Self) {
        for (group, spent) in &other.0 {
            self.0.entry(group.clone()).or_default().merge(spent);
        }
    }
}

impl BudgetState {
    /// The budget of a month (`YYYY-MM`), and what was spent in a window.
    pub fn view(&self, month: &str, window: Window) -> BudgetView {
        let nothing = Spending::default();
        let spending = self.months.get(month).unwrap_or(&nothing);
        let (policy, policy_event) = self.policy.get().cloned().unzip();
        let spent = spending.total().money();
        let limit = policy.as_ref().map(|policy: &Policy| policy.limit);
        let span = Span::over(&self.spending, window);
        let in_window = span.sum(&self.spending);
        let months = self.months.iter().map(|(month, spending)| {
            let total = spending.total();
            MonthTotal { month: month.clone(), total: total.money(), entries: total.entries }
        });
        BudgetView {
            month: month.to_owned(),
            policy,
            policy_event,
            spent,
            remaining: limit.map(|limit| limit.saturating_sub(spent)),
            is_over_limit: limit.is_some_and(|limit| spent > limit),
            kinds: spending.kinds(),
            origins: spending.origins(),
            providers: spending.names(|origin| origin.provider),
            models: spending.names(|origin| origin.model),
            tools: spending.names(|origin| origin.tool),
            months: months.collect(),
            window: WindowSpending {
                span,
                spent: in_window.total().money(),
                entries: in_window.total().entries,
                kinds: in_window.kinds(),
                origins: in_window.origins(),
            },
            uncertain: self.uncertain,
            unreadable: self.unreadable,
        }
    }
}

#[derive(Deserialize)]
struct SetPolicy {
    limit: Decimal,
    currency: Currency,
}

#[derive(Deserialize)]
struct WasSet {
    version: u64,
    updated_at_us: Option<i64>,
}

#[derive(Deserialize)]
struct Recorded {
    kind: UsageKind,
    amount: String,
    #[serde(default)]
    origin: Origin,
}

#[derive(Deserialize)]
struct WasRecorded {
    recorded_at_us: Option<i64>,
}

fn policy(event: &DatasetEvent) -> Option<Policy> {
    let SetPolicy { limit, currency } = input(event)?;
    let WasSet { version, updated_at_us } = output(event)?;
    let updated_at_us = updated_at_us.unwrap_or(event.started_at);
    let limit = Money::new(limit).ok()?;
    Some(Policy { limit, currency, version, updated_by: acting(event), updated_at_us })
}

/// The group, the entry, and when it was recorded by the engine's clock.
fn usage(event: &DatasetEvent) -> Option<(String, Spent, i64)> {
    let Recorded { kind, amount, origin } = input(event)?;
    let WasRecorded { recorded_at_us } = output(event)?;
    let mut spent = Spent { entries: 1, sum: DecimalSum::default() };
    spent.sum.add_text(&amount).ok()?;
    let group = serde_json::to_string(&(kind, origin)).ok()?;
    Some((group, spent, recorded_at_us.unwrap_or(event.started_at)))
}

impl ReadModel for BudgetModel {
    type State = BudgetState;
    const NAME: &'static str = "budget";
    const VERSION: u32 = 1;

    fn selects(&self, event: &DatasetEvent) -> bool {
        matches!(&*event.surface, "budget.set_policy" | "budget.record_usage")
    }

    fn apply(&self, state: &mut BudgetState, event: &DatasetEvent) {
        match write(event) {
            Write::Refused => {}
            Write::Uncertain => state.uncertain += 1,
            Write::Made if event.surface == "budget.set_policy" => match policy(event) {
                Some(set) => {
                    state.policy.offer(set.version, EventPlace::of(event), (set, Cause::of(event)));
                }
                None => state.unreadable += 1,
            },
            Write::Made => match usage(event) {
                Some((group, spent, at_us)) => {
                    let month = state.months.entry(month_of(at_us)).or_default();
                    month.0.entry(group.clone()).or_default().merge(&spent);
                    state.spending.add(at_us, |spending| {
                        spending.0.entry(group.clone()).or_default().merge(&spent);
                    });
                }
                None => state.unreadable += 1,
            },
        }
    }
}
