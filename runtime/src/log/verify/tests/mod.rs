//! Verification against ledgers made by hand, honest and tampered with.

mod attacks;
mod bytes;
mod cuts;
mod honest;
mod ledger;
mod tampering;
