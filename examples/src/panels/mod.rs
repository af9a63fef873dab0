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

/// A count with its noun: `1 reply`, `2,000 replies`.
fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", separated(count), if count == 1 { one } else { many })
}

/// A whole number with thousands separators.
fn separated(count: u64) -> String {
    match count / 1_000 {
        0 => count.to_string(),
        thousands => format!("{},{:03}", separated(thousands), count % 1_000),
    }
}

/// A size, to three digits.
fn sized(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1_024 {
        return counted(bytes, "byte", "bytes");
    }
    let (mut size, mut unit) = (bytes as f64 / 1_024.0, 0);
    while size >= 999.5 && unit + 1 < UNITS.len() {
        (size, unit) = (size / 1_024.0, unit + 1);
    }
    let digits = if size < 9.995 { 2 } else { usize::from(size < 99.95) };
    format!("{size:.digits$} {}", UNITS[unit])
}

/// For drawing alone; what is read out is exact.
fn drawn(number: Decimal) -> f64 {
    number.to_f64().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_thousands_separators() {
        let shown = [0, 1, 999, 1_000, 1_000_007].map(|count| counted(count, "reply", "replies"));
        assert_eq!(shown, ["0 replies", "1 reply", "999 replies", "1,000 replies", "1,000,007 replies"]);
    }

    #[test]
    fn sizes_have_three_digits() {
        let shown = [0, 1, 1_023, 1_024, 10_240, 102_400, 1_023_000, 1_048_576, 5 << 30, u64::MAX].map(sized);
        let expected = [
            "0 bytes",
            "1 byte",
            "1,023 bytes",
            "1.00 KiB",
            "10.0 KiB",
            "100 KiB",
            "999 KiB",
            "1.00 MiB",
            "5.00 GiB",
            "16.0 EiB",
        ];
        assert_eq!(shown, expected);
    }
}
