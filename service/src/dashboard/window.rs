//! Windows of time by their names in addresses.

use dataset_events::read_models::{Step, Window};
use serde::Deserialize;

use super::error::DashboardError;

/// Name in addresses, short title, window.
pub(super) const WINDOWS: [(&str, &str, Window); 5] = [
    ("hour", "1 h", Window::Hour),
    ("day", "24 h", Window::Day),
    ("week", "7 d", Window::Week),
    ("month", "30 d", Window::Month),
    ("all", "All", Window::All),
];

/// The query of a page with windows.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct WindowQuery {
    window: Option<String>,
}

impl WindowQuery {
    /// The window; a day unless one is named.
    pub(super) fn window(&self) -> Result<Window, DashboardError> {
        let Some(name) = &self.window else { return Ok(Window::Day) };
        let known = WINDOWS.into_iter().find(|(known, ..)| known == name);
        known.map(|(.., window)| window).ok_or(DashboardError::InvalidFilter("window"))
    }
}

pub(super) fn name_of(window: Window) -> &'static str {
    WINDOWS.into_iter().find(|(.., known)| *known == window).map_or("all", |(name, ..)| name)
}

pub(super) fn title_of(window: Window) -> &'static str {
    match window {
        Window::Hour => "hour",
        Window::Day => "24 hours",
        Window::Week => "7 days",
        Window::Month => "30 days",
        _ => "everything",
    }
}

/// The span of a bar in a chart of a window.
pub(super) fn step_of(window: Window) -> Step {
    match window {
        Window::Hour => Step::FiveMinutes,
        Window::Day | Window::Week => Step::Hour,
        _ => Step::Day,
    }
}
