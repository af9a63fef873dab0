//! Servers that tests start by themselves, and a proxy that breaks connections to them.

pub mod bigquery;
#[cfg(feature = "remote-sinks")]
pub mod expiring;
pub mod firestore;
pub mod network;
pub mod process;
pub mod proxy;
mod python;
pub mod running;
pub mod s3;

use std::hash::{BuildHasher, RandomState};

/// A name that nobody else has, in this run or another.
pub(crate) fn fresh(prefix: &str) -> String {
    // Random keys in each process, and others at each call.
    format!("{prefix}{:016x}", RandomState::new().hash_one(std::process::id()))
}
