//! What the behaviour tests share: an oracle that reads a ledger without the library, processes that are
//! killed, file systems of their own, servers and what breaks connections to them, seeded numbers.

pub mod calls;
pub mod child;
pub mod folded;
pub mod log;
pub mod mount;
pub mod remote;
pub mod seed;
pub mod sink_contract;
