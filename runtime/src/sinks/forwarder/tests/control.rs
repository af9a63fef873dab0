use super::*;
use crate::sinks::{ReplayFrom, SinkControlError};

#[test]
fn a_paused_sink_rests_until_it_is_resumed() {
    let (storage, rig) = (MemoryStorage::default(), Rig::new());
    let ledger = options(&storage).sink(rig.spec("copy")).open().unwrap();
    record(&ledger, "probe.pause", 1);
    wait_until_caught_up(&ledger, "copy");
    ledger.sinks().pause("copy").unwrap();
    wait_for(&ledger, "copy", |status| status.state == ForwardState::Paused);
    let before = rig.target.lines().len();
    record(&ledger, "probe.pause", 40);
    let paused = wait_for(&ledger, "copy", |status| status.lag_seconds > 0.0);
    assert_eq!((paused.lag_events, rig.target.lines().len()), (40, before));
    ledger.sinks().resume("copy").unwrap();
    wait_until_caught_up(&ledger, "copy");
    ledger.close().unwrap();
    assert_eq!(rig.target.lines(), log_lines(&storage));
}

#[test]
fn sinks_come_go_and_change_while_events_are_recorded() {
    let storage = MemoryStorage::default();
    let ledger = options(&storage).open().unwrap();
    let sinks = ledger.sinks();
    let first = Rig::new();
    std::thread::scope(|scope| {
        let writer = ledger.clone();
        scope.spawn(move || (0..20).for_each(|_| record(&writer, "probe.change", 50)));
        sinks.add(first.spec("copy")).unwrap();
        assert!(matches!(sinks.add(first.spec("copy")), Err(SinkControlError::Exists { .. })));
        for _ in 0..10 {
            sinks.replace(first.spec("copy")).unwrap();
        }
        sinks.remove("copy").unwrap();
        assert!(matches!(sinks.remove("copy"), Err(SinkControlError::Unknown { .. })));
        assert!(sinks.statuses().is_empty());
    });
    let left = first.target.lines().len();
    record(&ledger, "probe.change", 50);
    assert_eq!(first.target.lines().len(), left, "it was taken off");
    sinks.add(first.spec("copy")).unwrap();
    wait_until_caught_up(&ledger, "copy");
    ledger.close().unwrap();
    assert_eq!(first.target.lines(), log_lines(&storage));
    let came = first.target.lock().entries.len();
    assert_eq!(came, first.target.in_effect().len(), "the cursor was kept over every change");
    assert!(matches!(sinks.add(first.spec("late")), Err(SinkControlError::Closed)));
}

#[test]
fn a_replay_sends_the_log_again_from_where_it_was_asked_for() {
    let (storage, rig) = (MemoryStorage::default(), Rig::new());
    let ledger = options(&storage).sink(rig.spec("copy")).open().unwrap();
    for _ in 0..4 {
        record(&ledger, "probe.replay", 100);
    }
    wait_until_caught_up(&ledger, "copy");
    let scope = ledger.context("acme", "prod").build().unwrap().scope().clone();
    let all = rig.target.lines();
    for seq in [1_u64, 77, 400] {
        rig.target.lock().entries.clear();
        let from = ReplayFrom::Event { scope: scope.clone(), seq };
        let position = ledger.sinks().replay("copy", &from).unwrap();
        wait_for(&ledger, "copy", |status| {
            rig.target.lines().len() as u64 > 400 - seq && status.lag_bytes == 0 && status.lag_events == 0
        });
        let again = rig.target.lines();
        assert_eq!(again, all[all.len() - again.len()..], "the rest of the log, from event {seq}");
        assert_eq!(again.len() as u64, 401 - seq);
        let entries = rig.target.in_effect();
        assert_eq!(entries[0].kind, EntryKind::Identity);
        assert_eq!(entries[1].position, position);
    }
    let middle = ledger.sinks().status("copy").unwrap().acknowledged.offset / 2;
    let inside = crate::LogPosition { segment: 1, offset: middle + 3 };
    let start = ledger.sinks().replay("copy", &ReplayFrom::Position(inside)).unwrap();
    assert!(start <= inside && rig.target.lock().entries.len() < 1_000_000);
    ledger.sinks().replay("copy", &ReplayFrom::Beginning).unwrap();
    rig.target.lock().entries.clear();
    wait_for(&ledger, "copy", |status| status.lag_bytes == 0 && rig.target.lines().len() == all.len());
    let nowhere = crate::LogPosition { segment: 99, offset: 0 };
    let refused = ledger.sinks().replay("copy", &ReplayFrom::Position(nowhere)).unwrap_err();
    assert!(matches!(refused, SinkControlError::NoSuchPlace { .. }), "{refused}");
    let refused = ledger.sinks().replay("copy", &ReplayFrom::Event { scope, seq: 9_999 }).unwrap_err();
    assert_eq!(refused.to_string(), "replay from event 9999 of acme/prod: the log does not hold it");
    ledger.close().unwrap();
}

#[test]
fn draining_waits_for_required_sinks_and_says_what_is_left() {
    let storage = MemoryStorage::default();
    let (needed, other) = (Rig::new(), Rig::new());
    other.target.lock().open_answers.push_back(Answer::Fatal);
    let spec = needed.spec("needed").required(true);
    let ledger = options(&storage).sink(spec).sink(other.spec("other")).open().unwrap();
    record(&ledger, "probe.drain", 10);
    let drained = ledger.drain(Duration::from_secs(20)).unwrap();
    assert!(drained.is_complete && drained.behind.is_empty(), "{drained:?}");
    assert_eq!(needed.target.lines(), log_lines(&storage));
    assert!(other.target.lines().is_empty(), "nobody waits for a sink that is not required");

    ledger.sinks().pause("needed").unwrap();
    record(&ledger, "probe.drain", 10);
    let drained = ledger.drain(Duration::from_secs(20)).unwrap();
    assert!(!drained.is_complete);
    let [behind] = &drained.behind[..] else { panic!("{drained:?}") };
    assert_eq!((&*behind.name, behind.events), ("needed", 10));
    assert_eq!(behind.state, ForwardState::Paused);
    let required = ledger.owner.sinks.required().unwrap();
    assert_eq!(required.sinks, ["needed"]);
    assert!(required.position <= ledger.sinks().status("needed").unwrap().acknowledged);
    ledger.sinks().resume("needed").unwrap();
    assert!(ledger.drain(Duration::from_secs(20)).unwrap().is_complete);
    ledger.close().unwrap();
}

/// A log that ended with a full segment was drained for as long as the deadline allowed: its end is the start of the
/// next segment, and the place behind the last line was taken for another one.
#[test]
fn a_full_segment_at_the_end_of_the_log_is_drained() {
    let (storage, rig) = (MemoryStorage::default(), Rig::new());
    let ledger = options(&storage).sink(rig.spec("copy").required(true)).open().unwrap();
    let first_len = || storage.read("log/00000001.ndjson").unwrap().unwrap().len();
    while first_len() < 64 * 1024 {
        record(&ledger, "probe.full", 10);
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    while storage.read("log/00000002.ndjson").unwrap().is_none() {
        assert!(Instant::now() < deadline, "the next segment was not begun");
        std::thread::sleep(Duration::from_millis(1));
    }
    let drained = ledger.drain(Duration::from_secs(20)).unwrap();
    assert!(drained.is_complete, "{drained:?}");
    let acknowledged = ledger.sinks().status("copy").unwrap().acknowledged;
    assert_eq!(acknowledged, crate::LogPosition { segment: 2, offset: 0 });
    ledger.close().unwrap();
    assert_eq!(rig.target.lines(), log_lines(&storage));
}
