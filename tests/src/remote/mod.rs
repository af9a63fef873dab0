//! Servers that tests start by themselves, and a proxy that breaks connections to them.

pub mod bigquery;
pub mod firestore;
pub mod process;
pub mod proxy;
mod python;
pub mod s3;
