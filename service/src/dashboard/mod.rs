//! The dashboard: pages and a JSON API over a tenant's events, computed from the ledgers and nothing else.
//!
//! What it shows, how it is mounted, and what it keeps to: `docs/dashboard.md`.

mod blocks;
mod models;
mod panel;

pub use blocks::{
    Bar, BarChart, Block, Cell, Column, Corridor, LinePlot, Point, Series, Table, Threshold, Tile, Timeline,
    TimelineEntry, Tone,
};
pub use panel::{Panel, PanelAnswer, PanelError, PanelRequest, render_panel};
