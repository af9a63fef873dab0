//! The two services of the example, each with its own ledger, in one process.

mod common;
mod forward;
mod left;
mod ready;
#[path = "../watch/mod.rs"]
mod watch;
