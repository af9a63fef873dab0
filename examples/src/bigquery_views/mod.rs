//! The engines' read models as views in BigQuery, for the sink's settings.
//!
//! `{events}` stands for the table of events, as `BigQueryView::new` expects it.

/// Spending of each scope and month against the policy in force.
pub const BUDGET: (&str, &str) = ("v_budget", include_str!("budget.sql"));

/// Spending of each scope and month by kind, provider, model and tool.
pub const BUDGET_USAGE: (&str, &str) = ("v_budget_usage", include_str!("budget_usage.sql"));

/// The snapshots of each scope's temperature.
pub const TEMPERATURE: (&str, &str) = ("v_temperature", include_str!("temperature.sql"));

/// All of them: name and query.
pub const ALL: [(&str, &str); 3] = [BUDGET, BUDGET_USAGE, TEMPERATURE];
