//! The engines, as their callers and as an auditor see them.

mod chat;
mod common;
mod equality;
mod gates;
mod isolation;
mod kpi;
mod privacy;
mod script;
mod strategy_lock;
mod temperature;
