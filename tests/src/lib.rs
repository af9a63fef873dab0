//! What the behaviour tests share: an oracle that reads a ledger without the library, processes that are
//! killed, file systems of their own, seeded numbers.

pub mod calls;
pub mod child;
pub mod folded;
pub mod log;
pub mod mount;
pub mod seed;
pub mod sink_contract;
