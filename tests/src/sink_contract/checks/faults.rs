//! What lies between the sink and its target fails.

use std::thread;
use std::time::{Duration, Instant};

use dataset_events::sinks::{Ack, SinkError};

use crate::sink_contract::{Driver, Fault, Network, Target, assert_holds_exactly, story};

fn network(target: &mut dyn Target) -> &mut dyn Network {
    target.network().expect("the check needs a network")
}

/// A failure that passes: the batch will come again.
#[track_caller]
fn assert_passing(result: Result<Ack, SinkError>, when: &str) {
    match result {
        Err(SinkError::Retry { .. } | SinkError::Reopen { .. }) => {}
        Err(error) => panic!("{when}, the sink gives up: {error:?}"),
        Ok(ack) => panic!("{when}, the sink acknowledges: {ack:?}"),
    }
}

pub(super) fn away_when_opened(target: &mut dyn Target) {
    let cut = story::orders(60);
    network(target).set(Fault::Refuse);
    let mut driver = Driver::new(target, cut.ledger_id);
    for _ in 0..3 {
        assert_passing(driver.try_append(cut.entries()), "while its target is away");
    }
    network(target).set(Fault::None);
    driver.forward_all(&cut, 25);
    assert_holds_exactly(target, &cut);
}

pub(super) fn a_batch_stored_in_part(target: &mut dyn Target) {
    let cut = story::kilobytes(900);
    let end = cut.pieces.len();
    let mut driver = Driver::new(target, cut.ledger_id);
    driver.forward(&cut, 0..20, 20);
    for batch in [20..400, 400..end] {
        let entries = || cut.pieces[batch.clone()].iter().map(|piece| piece.entry(cut.ledger_id)).collect();
        network(target).set(Fault::CutInBatch);
        assert_passing(driver.try_append(entries()), "when a batch is cut in two");
        assert_passing(driver.try_append(entries()), "while its target is away");
        network(target).set(Fault::None);
        driver.append(entries);
    }
    driver.assert_nothing_rejected();
    assert_holds_exactly(target, &cut);
    // Once more, and the process that saw the failure is gone.
    let cut = story::kilobytes(600);
    let mut driver = Driver::new(target, cut.ledger_id);
    driver.forward(&cut, 0..20, 20);
    network(target).set(Fault::CutInBatch);
    assert_passing(driver.try_append(cut.entries()), "when a batch is cut in two");
    let state = driver.killed();
    network(target).set(Fault::None);
    let mut driver = Driver::with_state(target, cut.ledger_id, state);
    driver.forward(&cut, 10..cut.pieces.len(), 170);
    driver.assert_nothing_rejected();
    assert_holds_exactly(target, &cut);
}

pub(super) fn every_acknowledgement_lost(target: &mut dyn Target) {
    let cut = story::orders(200);
    let mut driver = Driver::new(target, cut.ledger_id);
    driver.forward(&cut, 0..1, 1);
    for pieces in cut.pieces[1..].chunks(60) {
        let entries = || pieces.iter().map(|piece| piece.entry(cut.ledger_id)).collect();
        let before = target.held(cut.ledger_id).len();
        network(target).set(Fault::DropAnswers);
        assert_passing(driver.try_append(entries()), "when the answer is lost");
        assert_more_arrives(target, &cut, before);
        network(target).set(Fault::None);
        driver.append(entries);
    }
    driver.assert_nothing_rejected();
    assert_holds_exactly(target, &cut);
}

/// Without this the check would show nothing: a batch whose request is lost is no batch whose answer is.
fn assert_more_arrives(target: &dyn Target, cut: &story::LedgerCut, before: usize) {
    let since = Instant::now();
    while target.held(cut.ledger_id).len() <= before {
        assert!(since.elapsed() < Duration::from_secs(20), "the network dropped the request, not the answer");
        thread::sleep(Duration::from_millis(20));
    }
}

pub(super) fn a_target_that_hangs(target: &mut dyn Target) {
    let cut = story::orders(90);
    let end = cut.pieces.len();
    let mut driver = Driver::new(target, cut.ledger_id);
    driver.forward(&cut, 0..30, 30);
    network(target).set(Fault::Hang);
    for _ in 0..2 {
        let entries = cut.pieces[30..].iter().map(|piece| piece.entry(cut.ledger_id)).collect();
        assert_passing(driver.try_append(entries), "while its target hangs");
    }
    network(target).set(Fault::None);
    driver.forward(&cut, 30..end, 25);
    driver.assert_nothing_rejected();
    assert_holds_exactly(target, &cut);
    // And from the start, before anything was ever answered.
    let cut = story::orders(30);
    network(target).set(Fault::Hang);
    let mut driver = Driver::new(target, cut.ledger_id);
    assert_passing(driver.try_append(cut.entries()), "while its target hangs");
    network(target).set(Fault::None);
    driver.forward_all(&cut, 25);
    assert_holds_exactly(target, &cut);
}

pub(super) fn server_killed_in_mid_batch(target: &mut dyn Target) {
    // One batch is everything, so that a server that keeps nothing over its death can be taken for it too.
    let cut = story::kilobytes(3_000);
    let mut driver = Driver::new(target, cut.ledger_id);
    let before = network(target).carried_bytes();
    let batch = cut.entries();
    let appending = thread::spawn(move || {
        let result = driver.try_append(batch);
        (driver, result)
    });
    while network(target).carried_bytes() < before + (256 << 10) {
        assert!(!appending.is_finished(), "the append ended before 256 KiB of its batch were sent");
        thread::sleep(Duration::from_millis(1));
    }
    let server = target.server().expect("the check needs a server");
    server.kill();
    let (since, outage) = (Instant::now(), server.outage());
    let (mut driver, result) = appending.join().expect("the driver");
    assert_passing(result, "when its server is killed in mid-batch");
    while since.elapsed() < outage {
        assert_passing(driver.try_append(cut.entries()), "while its server is dead");
        thread::sleep(Duration::from_millis(200));
    }
    target.server().expect("the check needs a server").start();
    driver.append(|| cut.entries());
    driver.assert_nothing_rejected();
    assert_holds_exactly(target, &cut);
}

pub(super) fn token_expired(target: &mut dyn Target) {
    let cut = story::orders(90);
    let end = cut.pieces.len();
    let mut driver = Driver::new(target, cut.ledger_id);
    driver.forward(&cut, 0..30, 30);
    target.credentials().expect("the check needs credentials").refuse();
    for _ in 0..2 {
        let entries = cut.pieces[30..].iter().map(|piece| piece.entry(cut.ledger_id)).collect();
        assert_passing(driver.try_append(entries), "while its token is refused");
    }
    // A sink that is made meanwhile waits as well.
    let mut late = Driver::new(target, cut.ledger_id);
    assert_passing(late.try_append(cut.entries()), "when it starts while tokens are refused");
    target.credentials().expect("the check needs credentials").accept();
    driver.forward(&cut, 30..end, 25);
    driver.assert_nothing_rejected();
    late.forward_all(&cut, 40);
    assert_holds_exactly(target, &cut);
}
