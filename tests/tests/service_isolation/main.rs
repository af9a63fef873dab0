//! Tenants of the two services see nothing of each other, whatever they send and whatever they ask for.

mod bossman;
mod canaries;
mod foreign;
#[path = "../services_common/mod.rs"]
mod services_common;
