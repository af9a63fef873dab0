//! The engines' pages of the dashboard: controls, budget, KPIs, temperature, activity.
//!
//! Each is made from the read models and asks no engine. All share one fold of the scope.

mod activity;
mod budget;
mod controls;
mod kpi;
mod temperature;

use dataset_events::ReadError;
use dataset_events_service::dashboard::{DashboardBuilder, Panel, PanelRequest};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;

use crate::read_models::{Board, BoardState, Window};

pub use activity::ActivityPanel;
pub use budget::BudgetPanel;
pub use controls::ControlsPanel;
pub use kpi::KpiPanel;
pub use temperature::TemperaturePanel;

/// Every page, in the order of the navigation.
pub fn panels() -> Vec<Box<dyn Panel>> {
    vec![
        Box::new(ControlsPanel),
        Box::new(BudgetPanel),
        Box::new(KpiPanel),
        Box::new(TemperaturePanel),
        Box::new(ActivityPanel),
    ]
}

/// Adds every page to a dashboard.
pub fn add_to(dashboard: DashboardBuilder) -> DashboardBuilder {
    dashboard
        .panel(ControlsPanel)
        .panel(BudgetPanel)
        .panel(KpiPanel)
        .panel(TemperaturePanel)
        .panel(ActivityPanel)
}

/// Reads the folded state of the scope.
fn read<T>(request: &PanelRequest<'_>, view: impl FnOnce(&BoardState) -> T) -> Result<T, ReadError> {
    request.fold(Board, |folded| view(folded.state()))
}

/// The window that was asked for; all time begins in 1970.
fn window(request: &PanelRequest<'_>) -> Window {
    Window { since_us: request.from_us().unwrap_or_default(), until_us: request.end_us() }
}

/// For drawing alone; what is read out is exact.
fn drawn(number: Decimal) -> f64 {
    number.to_f64().unwrap_or_default()
}
