use super::*;
use crate::log::checkpoint::Checkpoint;
use crate::log::identity::IDENTITY_NAME;

/// Asserts what `docs/sinks.md` says of the order, over entries as they came.
pub(super) fn assert_in_order(entries: &[Stored], storage: &MemoryStorage) {
    assert_eq!(entries[0].kind, EntryKind::Identity);
    assert_eq!(Some(&entries[0].bytes), storage.read(IDENTITY_NAME).unwrap().as_ref());
    let (mut end, mut number) = (crate::LogPosition::START, 0);
    for entry in &entries[1..] {
        match entry.kind {
            EntryKind::Event | EntryKind::Attempt => {
                assert!(entry.position >= end, "{entry:?} behind {end}");
                let len = entry.bytes.len() as u64 + 1;
                end = crate::LogPosition { offset: entry.position.offset + len, ..entry.position };
            }
            EntryKind::HeadTable => {
                let next = crate::LogPosition { segment: end.segment + 1, offset: 0 };
                assert!(entry.position == end || entry.position == next, "{entry:?} behind {end}");
            }
            EntryKind::Checkpoint => {
                let checkpoint = Checkpoint::from_line(&entry.bytes).unwrap();
                number += 1;
                assert_eq!(entry.key, EntryKey::Checkpoint(number));
                assert_eq!((checkpoint.number, checkpoint.position), (number, entry.position));
                let next = crate::LogPosition { segment: end.segment + 1, offset: 0 };
                assert!(
                    checkpoint.position <= end || checkpoint.position == next,
                    "checkpoint {number} comes before what it covers"
                );
            }
            EntryKind::Cut => assert!(entry.position <= end, "{entry:?} behind {end}"),
            EntryKind::Identity => panic!("the identity did not change"),
        }
    }
}

/// Cuts that are made meanwhile come behind the events that tell of them; for a sink that comes late, before the first
/// line that is left, with the head table that the last one names.
#[test]
fn cuts_come_in_their_places() {
    let (storage, rig, late, some) = (MemoryStorage::default(), Rig::new(), Rig::new(), Rig::new());
    let options = || options(&storage).keep_for(Duration::ZERO).drop_without_copy(true);
    let ledger = options().sink(rig.spec("copy").required(true)).open().unwrap();
    for number in 1..=2 {
        record(&ledger, "probe.old", 300);
        let deadline = Instant::now() + Duration::from_secs(20);
        while ledger.retain().unwrap().cut.is_none_or(|cut| cut.number != number) {
            assert!(Instant::now() < deadline, "{:?}", ledger.retention());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    record(&ledger, "probe.new", 3);
    ledger.sinks().add(late.spec("late")).unwrap();
    ledger.sinks().add(some.spec("some").surfaces(["probe.*"])).unwrap();
    wait_until_caught_up(&ledger, "some");
    let status = wait_until_caught_up(&ledger, "late");
    assert!(status.missed_segments > 1, "{status:?}");
    ledger.close().unwrap();
    let entries = rig.target.lock().entries.clone();
    assert_in_order(&entries, &storage);
    let cuts = storage.read("cuts.ndjson").unwrap().unwrap();
    let forwarded = |entries: &[Stored]| {
        let cuts = entries.iter().filter(|entry| entry.kind == EntryKind::Cut);
        cuts.flat_map(|entry| [&entry.bytes[..], b"\n"].concat()).collect::<Vec<u8>>()
    };
    assert_eq!(forwarded(&entries), cuts);
    for at in (0..entries.len()).filter(|at| entries[*at].kind == EntryKind::Cut) {
        let before = String::from_utf8_lossy(&entries[at - 1].bytes);
        assert!(before.contains("\"surface\":\"ledger.cut\""), "{before}");
    }
    let entries = late.target.lock().entries.clone();
    assert_eq!(forwarded(&entries), cuts);
    assert_eq!(forwarded(&some.target.lock().entries), b"", "not to a sink with a filter");
    let place = |is_it: &dyn Fn(&Stored) -> bool| entries.iter().position(is_it).unwrap();
    let cut = place(&|entry| entry.key == EntryKey::Cut(2));
    let table = place(&|entry| entry.kind == EntryKind::HeadTable);
    let line = place(&|entry| entry.kind == EntryKind::Event && entry.position >= entries[cut].position);
    assert!(cut < table && table < line, "{cut}, {table}, {line}");
    // Opened again, it does not come again; replayed, it does.
    let ledger = options().sink(late.spec("late")).open().unwrap();
    record(&ledger, "probe.new", 3);
    wait_until_caught_up(&ledger, "late");
    assert_eq!(forwarded(&late.target.lock().entries), cuts);
    ledger.sinks().replay("late", &crate::sinks::ReplayFrom::Beginning).unwrap();
    wait_for(&ledger, "late", |_| forwarded(&late.target.lock().entries).len() == 2 * cuts.len());
    ledger.close().unwrap();
}

#[test]
fn a_sink_gets_the_whole_ledger_in_order() {
    let (storage, rig) = (MemoryStorage::default(), Rig::new());
    let ledger = options(&storage).sink(rig.spec("copy")).open().unwrap();
    // Over several segments of 64 KiB.
    for _ in 0..4 {
        record(&ledger, "probe.first", 100);
    }
    let status = wait_until_caught_up(&ledger, "copy");
    assert_eq!((status.kind, status.required, status.state), ("test", false, ForwardState::Running));
    ledger.close().unwrap();
    let entries = rig.target.lock().entries.clone();
    assert_in_order(&entries, &storage);
    assert_eq!(rig.target.lines(), log_lines(&storage));
    let checkpoints = storage.read("checkpoints.ndjson").unwrap().unwrap();
    let of_kind = |kind| entries.iter().filter(move |entry| entry.kind == kind);
    let forwarded: Vec<u8> =
        of_kind(EntryKind::Checkpoint).flat_map(|entry| [&entry.bytes[..], b"\n"].concat()).collect();
    assert_eq!(forwarded, checkpoints, "with the one of the close");
    assert!(of_kind(EntryKind::HeadTable).count() >= 3);
    for table in of_kind(EntryKind::HeadTable) {
        let name = crate::log::head_table_name(table.position.segment);
        assert_eq!(storage.read(&name).unwrap().unwrap(), table.bytes);
    }
    assert_eq!(rig.target.lock().closed, 1);
}

#[test]
fn a_sink_goes_on_where_it_was_when_the_ledger_is_opened_again() {
    let (storage, rig) = (MemoryStorage::default(), Rig::new());
    for round in 1..=3 {
        let ledger = options(&storage).sink(rig.spec("copy")).open().unwrap();
        record(&ledger, "probe.again", 50);
        ledger.close().unwrap();
        let entries = rig.target.lock().entries.clone();
        assert_in_order(&entries, &storage);
        assert_eq!(entries.len(), rig.target.in_effect().len(), "round {round}: nothing came twice");
        assert_eq!(rig.target.lines(), log_lines(&storage));
    }
}

#[test]
fn a_changed_identity_comes_again() {
    let (storage, rig) = (MemoryStorage::default(), Rig::new());
    options(&storage).sink(rig.spec("copy")).open().unwrap().close().unwrap();
    let other = Ed25519Signer::from_seed([9; 32]);
    options(&storage).signer(other).sink(rig.spec("copy")).open().unwrap().close().unwrap();
    let entries = rig.target.lock().entries.clone();
    let identities: Vec<_> = entries.iter().filter(|entry| entry.kind == EntryKind::Identity).collect();
    assert_eq!(identities.len(), 2);
    assert_eq!(identities[1].bytes, storage.read(IDENTITY_NAME).unwrap().unwrap());
    assert_eq!(rig.target.lines(), log_lines(&storage));
}

#[test]
fn batches_keep_to_their_limits() {
    let (storage, rig) = (MemoryStorage::default(), Rig::new());
    let ledger = options(&storage).open().unwrap();
    record(&ledger, "probe.many", 1_000);
    let spec = rig.spec("copy").batch_entries(70);
    ledger.sinks().add(spec).unwrap();
    wait_until_caught_up(&ledger, "copy");
    let batches = rig.target.lock().batches.clone();
    assert_eq!(batches.iter().max(), Some(&70));
    assert!(batches.len() >= 1_000 / 70);
    let bytes = Rig::new();
    ledger.sinks().add(bytes.spec("bytes").batch_bytes(64 << 10)).unwrap();
    wait_until_caught_up(&ledger, "bytes");
    let largest = bytes.target.lock().largest_batch_bytes;
    assert!((50 << 10..=64 << 10).contains(&largest), "{largest}");
    ledger.close().unwrap();
    assert_eq!(rig.target.lines(), log_lines(&storage));
    assert_eq!(bytes.target.lines(), log_lines(&storage));
}

#[test]
fn a_filtered_sink_gets_its_surfaces_alone() {
    let (storage, rig) = (MemoryStorage::default(), Rig::new());
    let spec = rig.spec("part").surfaces(["wanted.*"]);
    let ledger = options(&storage).sink(spec).open().unwrap();
    for _ in 0..3 {
        record(&ledger, "wanted.one", 5);
        record(&ledger, "other.one", 5);
    }
    let status = wait_until_caught_up(&ledger, "part");
    assert_eq!(status.surfaces, ["wanted.*"]);
    ledger.close().unwrap();
    let kinds: std::collections::BTreeSet<_> =
        rig.target.in_effect().into_iter().map(|entry| entry.kind).collect();
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), [EntryKind::Identity, EntryKind::Event]);
    let wanted: Vec<_> = log_lines(&storage).into_iter().filter(|line| line.contains("wanted.one")).collect();
    assert_eq!(wanted.len(), 15);
    assert_eq!(rig.target.lines(), wanted);
}
