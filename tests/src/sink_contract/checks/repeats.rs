//! Entries that come again change nothing.

use dataset_events::sinks::MemoryState;

use crate::sink_contract::{Driver, Target, assert_holds_exactly, story};

pub(super) fn batches_that_come_again(target: &mut dyn Target) {
    let cut = story::orders(120);
    let mut driver = Driver::new(target, cut.ledger_id);
    for start in (0..cut.pieces.len()).step_by(25) {
        let part = start..(start + 25).min(cut.pieces.len());
        for _ in 0..3 {
            driver.forward(&cut, part.clone(), 25);
        }
    }
    driver.assert_nothing_rejected();
    assert_holds_exactly(target, &cut);
}

pub(super) fn batches_cut_at_other_places(target: &mut dyn Target) {
    let cut = story::orders(120);
    let end = cut.pieces.len();
    let mut driver = Driver::new(target, cut.ledger_id);
    for start in (0..end).step_by(10) {
        // Back by 17 and forward by 30: each batch overlaps those before it at both of its ends.
        driver.forward(&cut, start.saturating_sub(17)..(start + 30).min(end), 30);
    }
    // Before everything comes once more, which would hide what the overlaps lost.
    assert_holds_exactly(target, &cut);
    for batch_entries in [end, 13, 1] {
        driver.forward(&cut, 0..end, batch_entries);
    }
    driver.assert_nothing_rejected();
    assert_holds_exactly(target, &cut);
}

pub(super) fn everything_again_after_a_restart(target: &mut dyn Target) {
    let cut = story::orders(120);
    let mut state = MemoryState::default();
    for (end, batch_entries) in [(40, 9), (90, 31), (cut.pieces.len(), 50)] {
        let mut driver = Driver::with_state(target, cut.ledger_id, state.clone());
        driver.forward(&cut, 0..end, batch_entries);
        driver.assert_nothing_rejected();
        state = driver.killed();
    }
    let mut driver = Driver::with_state(target, cut.ledger_id, state);
    driver.forward_all(&cut, 20);
    driver.close();
    assert_holds_exactly(target, &cut);
}

pub(super) fn everything_again_when_the_state_is_lost(target: &mut dyn Target) {
    let cut = story::orders(120);
    for (end, batch_entries) in [(40, 9), (90, 31), (cut.pieces.len(), 50), (cut.pieces.len(), 7)] {
        let mut driver = Driver::new(target, cut.ledger_id);
        driver.forward(&cut, 0..end, batch_entries);
        driver.assert_nothing_rejected();
    }
    assert_holds_exactly(target, &cut);
}

pub(super) fn killed_between_batches(target: &mut dyn Target) {
    let cut = story::orders(80);
    let mut state = MemoryState::default();
    for start in (0..cut.pieces.len()).step_by(15) {
        let mut driver = Driver::with_state(target, cut.ledger_id, state);
        // The batch before the cursor comes again: the acknowledgement was there, the cursor not yet.
        driver.forward(&cut, start.saturating_sub(15)..(start + 15).min(cut.pieces.len()), 15);
        driver.assert_nothing_rejected();
        state = driver.killed();
    }
    assert_holds_exactly(target, &cut);
}
