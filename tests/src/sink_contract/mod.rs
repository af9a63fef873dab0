//! The contract of a sink, as checks that run on any.
//!
//! A sink's tests implement [`Target`] for where it stores, and ask for the suite:
//!
//! ```
//! # use dataset_events::sinks::{Ack, Entry, Sink, SinkError};
//! # use dataset_events::LedgerId;
//! # use dataset_events_tests::sink_contract::{Piece, Target};
//! # struct MyTarget;
//! # impl MyTarget { fn new() -> Self { Self } }
//! # impl Target for MyTarget {
//! #     fn sink(&self) -> Box<dyn Sink> { unimplemented!() }
//! # }
//! dataset_events_tests::sink_contract! {
//!     mod my_sink {
//!         target: |_check| MyTarget::new(),
//!         not_applicable: {
//!             server_killed_in_mid_batch: "it stores in this process: there is no server",
//!         },
//!     }
//! }
//! # fn main() {}
//! ```
//!
//! That makes a test of each check, each on a fresh target, and one that holds the declaration against the checks.
//! The expression of `target` is given the [`Check`] that runs, whose `needs` say what it will use: a server of its
//! own is wanted by those alone that kill it. A check that a target has no ability for must be declared, and what is
//! declared must be true.
//!
//! The entries are those of real ledgers ([`story`]); what the target holds afterwards is held against the ledger's
//! own files: each event once in effect, none missing, the exact bytes and places, streams without a gap.
//!
//! Most checks drive the sink by hand, as the forwarder would. `cursor_file_torn` and `killed_between_ack_and_cursor`
//! go through the forwarder itself, over a ledger that is opened again and again. There the death of a process is
//! what the disk and the target show of it: behind an acknowledgement the target gets nothing more and nobody closes
//! the sink, and the cursor's files are those from before the batch.

mod checks;
mod cut;
mod driver;
mod faulty;
mod forwarded;
pub mod held;
pub mod story;
mod target;

pub use self::checks::{CHECKS, Check, assert_declared, by_name, run};
pub use self::cut::{LedgerCut, Piece};
pub use self::driver::Driver;
pub use self::faulty::{FaultSwitch, Faulty};
pub use self::held::{assert_holds, assert_holds_exactly, from_source};
pub use self::target::{Ability, Credentials, Fault, Keeps, Network, Server, Target};

/// Makes a test of each check of the contract. See [the module](self).
#[macro_export]
macro_rules! sink_contract {
    (
        $(#[$attribute:meta])*
        mod $name:ident {
            target: $target:expr,
            not_applicable: { $($declared:ident: $reason:literal),* $(,)? } $(,)?
        }
    ) => {
        $(#[$attribute])*
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            const NOT_APPLICABLE: &[(&str, &str)] = &[$((stringify!($declared), $reason)),*];

            fn run(name: &str) {
                let make = $target;
                let mut target = make(&$crate::sink_contract::by_name(name));
                $crate::sink_contract::run(name, &mut target, NOT_APPLICABLE);
            }

            #[test]
            fn what_is_not_applicable_is_declared() {
                $crate::sink_contract::assert_declared(NOT_APPLICABLE);
            }

            $crate::sink_contract_tests! {
                order_in_each_stream
                unicode
                empty_values
                odd_values
                largest_lines
                more_entries_than_a_request_takes
                more_bytes_than_a_request_takes
                two_ledgers_on_one_target
                begins_at_a_cut
                batches_that_come_again
                batches_cut_at_other_places
                everything_again_after_a_restart
                everything_again_when_the_state_is_lost
                killed_between_batches
                cursor_file_torn
                killed_between_ack_and_cursor
                a_poisoned_event_among_good_ones
                away_when_opened
                a_batch_stored_in_part
                every_acknowledgement_lost
                a_target_that_hangs
                server_killed_in_mid_batch
                token_expired
                verified_from_the_target_alone
                source_reads_on
                source_answers_queries
            }
        }
    };
}

/// A test for each name. Part of [`sink_contract!`](crate::sink_contract).
#[doc(hidden)]
#[macro_export]
macro_rules! sink_contract_tests {
    ($($check:ident)*) => {
        const TESTS: &[&str] = &[$(stringify!($check)),*];

        #[test]
        fn every_check_has_its_test() {
            let names: Vec<&str> = $crate::sink_contract::CHECKS.iter().map(|check| check.name).collect();
            assert_eq!(TESTS, names);
        }

        $(
            #[test]
            fn $check() {
                run(stringify!($check));
            }
        )*
    };
}
