//! The engines, as their callers and as an auditor see them.

mod annotated;
mod bossman;
mod chat;
mod common;
mod coverage;
mod documented;
mod equality;
mod failing;
mod gate;
mod gates;
mod isolation;
mod isolation_of_controls;
mod kpi;
mod left;
mod media;
mod models;
mod panels;
mod privacy;
mod script;
mod sinks;
mod strategy_lock;
mod temperature;
mod vector;
#[path = "../watch/mod.rs"]
mod watch;
mod workload;
