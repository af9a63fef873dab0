//! The disk is full for a while, or for good, from every single change of a run on.

use super::*;

/// Changes and syncs: a write that is tried again takes two.
const FULL_FOR: u64 = 7;

/// As [`run`], from three threads at once: some wait for a group while the writer waits for room.
fn run_threads(ledger: &Ledger) -> BTreeMap<EventId, Told> {
    std::thread::scope(|threads| {
        let running: Vec<_> = (0..3).map(|_| threads.spawn(|| run(ledger, CALLS / 2))).collect();
        running.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    })
}

/// Flushes until the ledger is no longer short of room.
fn flush(ledger: &Ledger) -> Result<(), LedgerError> {
    let patience = Duration::from_secs(60);
    let deadline = Instant::now() + patience;
    loop {
        match ledger.flush() {
            Err(LedgerError::NoRoom { .. }) if Instant::now() < deadline => {
                ledger.owner.shared.signal.wait_until_writing(patience);
            }
            flushed => return flushed,
        }
    }
}

fn operations_of_a_run() -> u64 {
    let whole = FaultyStorage::default();
    let ledger = open(Arc::new(whole.clone()), 1).expect("open");
    run(&ledger, CALLS);
    ledger.close().expect("close");
    whole.operations()
}

#[test]
fn a_disk_that_was_full_for_a_while_has_every_event_and_is_green_again() {
    let mut refused = 0;
    for from in (1..operations_of_a_run()).step_by(3) {
        let at = format!("full from operation {from}");
        let storage = FaultyStorage::full_during(from..from + FULL_FOR);
        // Full while it is opened: that refuses the start.
        let Ok(ledger) = open(Arc::new(storage.clone()), 1) else { continue };
        let mut told = run_threads(&ledger);
        flush(&ledger).unwrap_or_else(|error| panic!("{at}: {error}"));
        // How many groups the threads make is up to them: until there was room again.
        while storage.operations() < from + FULL_FOR {
            told.extend(run(&ledger, 3));
            flush(&ledger).unwrap_or_else(|error| panic!("{at}: {error}"));
        }
        assert_eq!(ledger.health(), Health::Green, "{at}");
        let again = run(&ledger, 3);
        assert!(again.values().all(|told| *told == Told::Admitted), "{at}");
        let in_between = storage.after_power_cut();
        ledger.close().unwrap_or_else(|error| panic!("{at}: {error}"));
        let events = read(&storage.after_power_cut());
        for (event_id, told) in told.iter().chain(&again) {
            let outcome = if *told == Told::Admitted { Outcome::Ok } else { Outcome::Error };
            assert_eq!(events.get(event_id), Some(&outcome), "{at}");
        }
        refused += told.values().filter(|told| **told == Told::Refused).count();
        let reopened = open(Arc::new(in_between.clone()), 2).unwrap_or_else(|error| panic!("{at}: {error}"));
        assert!(reopened.verify().expect("readable").is_verified(), "{at}");
        reopened.close().unwrap_or_else(|error| panic!("{at}: {error}"));
        assert_holds(&told, &read(&in_between), &at);
    }
    assert!(refused > 0, "no call came while the disk was full");
}

#[test]
fn a_disk_that_stays_full_ends_in_a_close_that_says_so_and_a_reopen_that_holds() {
    for from in (1..operations_of_a_run()).step_by(5) {
        let at = format!("full for good from operation {from}");
        let storage = FaultyStorage::full_during(from..u64::MAX);
        let mut told = BTreeMap::new();
        if let Ok(ledger) = open(Arc::new(storage.clone()), 1) {
            told = run(&ledger, CALLS);
            // At the latest the close has to write.
            let closed = ledger.close();
            assert!(matches!(closed, Err(LedgerError::Failed { .. })), "{at}: {closed:?}");
        }
        for (what, left) in [("power", storage.after_power_cut()), ("process", storage.after_process_death())]
        {
            let at = format!("{at}, then {what} lost");
            let ledger = open(Arc::new(left.clone()), 2).unwrap_or_else(|error| panic!("{at}: {error}"));
            run(&ledger, 2);
            ledger.close().unwrap_or_else(|error| panic!("{at}: {error}"));
            assert_holds(&told, &read(&left), &at);
        }
    }
}

#[test]
fn a_sync_that_fails_is_not_tried_again_though_the_disk_was_only_full() {
    let (mut mended, mut ended) = (0, 0);
    for at in (10..90).step_by(3) {
        let storage = FaultyStorage::full_also_at_syncs_during(at..at + 1);
        let Ok(ledger) = open(Arc::new(storage.clone()), 1) else { continue };
        let told = run(&ledger, CALLS);
        match flush(&ledger) {
            Ok(()) => mended += 1,
            Err(LedgerError::Failed { reason }) => {
                ended += 1;
                assert!(reason.contains("sync"), "{reason}");
                let before = storage.operations();
                let refused = run(&ledger, 3);
                assert!(refused.values().all(|told| *told == Told::Refused));
                assert!(matches!(ledger.close(), Err(LedgerError::Failed { .. })));
                assert_eq!(storage.operations(), before, "nothing more is written");
            }
            Err(error) => panic!("operation {at}: {error}"),
        }
        let left = storage.after_process_death();
        open(Arc::new(left.clone()), 2).expect("open").close().expect("close");
        assert_holds(&told, &read(&left), &format!("operation {at}"));
    }
    assert!(mended > 0 && ended > 0, "{mended} writes, {ended} syncs");
}
