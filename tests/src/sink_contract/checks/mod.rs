//! The checks, each by its name.

mod faults;
mod forwarding;
mod poison;
mod reading;
mod repeats;
mod values;

use super::target::{Ability, Target};

/// A check of the contract.
#[derive(Clone, Copy)]
pub struct Check {
    /// The name of its test.
    pub name: &'static str,
    /// What it needs of a target.
    pub needs: &'static [Ability],
    /// Runs it on a fresh target; panics when the sink does not hold to the contract.
    pub run: fn(&mut dyn Target),
}

impl std::fmt::Debug for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Check").field("name", &self.name).field("needs", &self.needs).finish_non_exhaustive()
    }
}

const fn check(name: &'static str, needs: &'static [Ability], run: fn(&mut dyn Target)) -> Check {
    Check { name, needs, run }
}

/// All of them.
pub const CHECKS: &[Check] = &[
    check("order_in_each_stream", &[], values::order_in_each_stream),
    check("unicode", &[], values::unicode),
    check("empty_values", &[], values::empty_values),
    check("odd_values", &[], values::odd_values),
    check("largest_lines", &[], values::largest_lines),
    check("more_entries_than_a_request_takes", &[], values::more_entries_than_a_request_takes),
    check("more_bytes_than_a_request_takes", &[], values::more_bytes_than_a_request_takes),
    check("two_ledgers_on_one_target", &[], values::two_ledgers_on_one_target),
    check("begins_at_a_cut", &[], reading::begins_at_a_cut),
    check("batches_that_come_again", &[], repeats::batches_that_come_again),
    check("batches_cut_at_other_places", &[], repeats::batches_cut_at_other_places),
    check("everything_again_after_a_restart", &[], repeats::everything_again_after_a_restart),
    check("everything_again_when_the_state_is_lost", &[], repeats::everything_again_when_the_state_is_lost),
    check("killed_between_batches", &[], repeats::killed_between_batches),
    check("cursor_file_torn", &[], forwarding::cursor_file_torn),
    check("killed_between_ack_and_cursor", &[], forwarding::killed_between_ack_and_cursor),
    check("a_poisoned_event_among_good_ones", &[], poison::a_poisoned_event_among_good_ones),
    check("away_when_opened", &[Ability::Network], faults::away_when_opened),
    check("a_batch_stored_in_part", &[Ability::Network], faults::a_batch_stored_in_part),
    check("every_acknowledgement_lost", &[Ability::Network], faults::every_acknowledgement_lost),
    check("a_target_that_hangs", &[Ability::Network], faults::a_target_that_hangs),
    check(
        "server_killed_in_mid_batch",
        &[Ability::Server, Ability::Network],
        faults::server_killed_in_mid_batch,
    ),
    check("token_expired", &[Ability::Credentials], faults::token_expired),
    check("verified_from_the_target_alone", &[Ability::Whole], reading::verified_from_the_target_alone),
    check("source_reads_on", &[Ability::Source], reading::source_reads_on),
    check("source_answers_queries", &[Ability::Source], reading::source_answers_queries),
];

/// A check by its name.
///
/// # Panics
///
/// When there is none.
pub fn by_name(name: &str) -> Check {
    let found = CHECKS.iter().find(|check| check.name == name);
    let names = || CHECKS.iter().map(|check| check.name).collect::<Vec<_>>().join(", ");
    *found.unwrap_or_else(|| panic!("no check is named {name:?}; there are {}", names()))
}

/// Runs a check on a target, unless it is declared to be not applicable: then the target must indeed lack what the
/// check needs.
///
/// # Panics
///
/// When the sink does not hold to the contract, and when the declaration is not true of the target.
pub fn run(name: &str, target: &mut dyn Target, not_applicable: &[(&str, &str)]) {
    let check = by_name(name);
    let lacks: Vec<_> = check.needs.iter().filter(|ability| !ability.is_of(target)).collect();
    let declared = not_applicable.iter().find(|(declared, _)| *declared == name);
    match (lacks.is_empty(), declared) {
        (true, None) => (check.run)(target),
        (true, Some((_, reason))) => panic!(
            "{name} is declared as not applicable ({reason}), and the target has all that it needs: {:?}",
            check.needs
        ),
        (false, None) => {
            panic!("{name} needs {lacks:?}: give it to the target, or declare why there is none")
        }
        (false, Some((_, reason))) => {
            assert!(reason.len() > 10, "{name} is declared as not applicable without a reason");
            println!("not applicable: {name}: {reason}");
        }
    }
}

/// Asserts that what is declared as not applicable are checks, each once.
///
/// # Panics
///
/// When one is not.
pub fn assert_declared(not_applicable: &[(&str, &str)]) {
    for (at, (name, _)) in not_applicable.iter().enumerate() {
        by_name(name);
        assert!(!not_applicable[..at].iter().any(|(other, _)| other == name), "{name} is declared twice");
    }
}
