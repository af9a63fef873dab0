//! The main job as its user runs it: over a directory of documents, twice, interrupted, killed.

mod interrupted;
mod job;
mod killed;
mod report;
mod routes;
mod sinks;
#[path = "../watch/mod.rs"]
mod watch;
