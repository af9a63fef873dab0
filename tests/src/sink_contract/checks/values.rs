//! What is stored: all that a ledger writes, in its order, bit by bit.

use crate::sink_contract::{Driver, Target, assert_holds_exactly, story};

fn forwarded(target: &mut dyn Target, cut: &story::LedgerCut, batch_entries: usize) {
    let mut driver = Driver::new(target, cut.ledger_id);
    driver.forward_all(cut, batch_entries);
    driver.close();
    assert_holds_exactly(target, cut);
}

pub(super) fn order_in_each_stream(target: &mut dyn Target) {
    for batch_entries in [50, 7] {
        forwarded(target, &story::orders(400), batch_entries);
    }
    // A batch for each entry, so that none can be ordered by its batch.
    forwarded(target, &story::orders(20), 1);
}

pub(super) fn unicode(target: &mut dyn Target) {
    forwarded(target, &story::unicode(), 5);
}

pub(super) fn empty_values(target: &mut dyn Target) {
    forwarded(target, &story::empty_values(), 100);
}

pub(super) fn odd_values(target: &mut dyn Target) {
    forwarded(target, &story::odd_values(), 100);
}

pub(super) fn largest_lines(target: &mut dyn Target) {
    let cut = story::largest();
    forwarded(target, &cut, cut.pieces.len());
}

pub(super) fn more_entries_than_a_request_takes(target: &mut dyn Target) {
    let cut = story::orders(1_300);
    forwarded(target, &cut, cut.pieces.len());
}

pub(super) fn more_bytes_than_a_request_takes(target: &mut dyn Target) {
    let cut = story::megabytes();
    forwarded(target, &cut, cut.pieces.len());
}

pub(super) fn two_ledgers_on_one_target(target: &mut dyn Target) {
    let cuts = [story::orders(60), story::orders(90)];
    let mut drivers = cuts.each_ref().map(|cut| Driver::new(target, cut.ledger_id));
    for at in (0..cuts[1].pieces.len()).step_by(10) {
        for (driver, cut) in drivers.iter_mut().zip(&cuts) {
            let end = cut.pieces.len();
            driver.forward(cut, at.min(end)..(at + 10).min(end), 10);
        }
    }
    for (driver, cut) in drivers.into_iter().zip(&cuts) {
        driver.assert_nothing_rejected();
        driver.close();
        assert_holds_exactly(target, cut);
    }
}
