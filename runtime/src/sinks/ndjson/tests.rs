//! Files that end, disks that fail, what crashes leave.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use super::*;
use crate::ids::LedgerId;
use crate::log::LogPosition;
use crate::log::storage::MemoryStorage;
use crate::log::storage_faults::FaultyStorage;
use crate::sinks::{EntryKind, MemoryState};
use crate::sources::ndjson::NdjsonSource;

fn ledger_id() -> LedgerId {
    "0190b5a0-0000-7000-8000-000000000001".parse().unwrap()
}

/// An identity, then lines of a log with two segments and a head table between them.
fn entries(count: u64) -> Vec<Entry> {
    let mut entries =
        vec![Entry::identity(ledger_id(), b"{\"schema_version\":1,\"kind\":\"ledger\"}\n".to_vec())];
    let mut position = LogPosition::START;
    for number in 0..count {
        if number == count / 2 {
            let LogPosition { segment, offset } = position;
            let table = format!(
                "{{\"schema_version\":1,\"kind\":\"head_table\",\"position\":{{\"segment\":{segment},\"offset\":{offset}}}}}\n"
            );
            entries.push(Entry::head_table(ledger_id(), position, table.into_bytes()));
            position = LogPosition { segment: 2, offset: 0 };
        }
        let text = "x".repeat((number as usize * 37) % 500);
        let line = format!(
            "{{\"schema_version\":1,\"kind\":\"event\",\"ledger_id\":\"{}\",\
             \"event_id\":\"0190b5a0-0000-7000-8000-{number:012}\",\"tenant_id\":\"acme\",\"env\":\"prod\",\
             \"seq\":{number},\"prev\":\"{}\",\"text\":\"{text}\"}}",
            ledger_id(),
            "0".repeat(64),
        );
        let next = LogPosition { offset: position.offset + line.len() as u64 + 1, ..position };
        entries.push(Entry::line(position, line.into_bytes()).unwrap());
        position = next;
    }
    entries
}

/// Entries by place and bytes; short in messages, which name hundreds.
fn again(entries: &[Entry]) -> Vec<(u32, u64, String)> {
    let of = |entry: &Entry| {
        let LogPosition { segment, offset } = entry.position();
        (segment, offset, entry.hash().to_string()[..8].to_owned())
    };
    entries.iter().map(of).collect()
}

fn held(storage: &Arc<dyn Storage>) -> Vec<(u32, u64, String)> {
    let entries = NdjsonSource::on(Arc::clone(storage)).entries(ledger_id()).unwrap();
    again(&entries.collect::<Result<Vec<_>, _>>().unwrap())
}

fn sink(storage: &Arc<dyn Storage>, settings: &NdjsonSettings) -> NdjsonSink {
    NdjsonSink::on(Arc::clone(storage), settings.clone(), || 1_767_225_600_000_000)
}

fn open(sink: &mut NdjsonSink) -> Result<(), SinkError> {
    sink.open(&SinkStart::new(ledger_id(), &mut MemoryState::default()))
}

/// Small files, below what an operator may ask for.
fn small() -> NdjsonSettings {
    NdjsonSettings { rotate_bytes: 2_000, ..NdjsonSettings::new("") }
}

const BATCH: usize = 7;

/// Appends from an entry on, until all is acknowledged or it has failed so often; how many were acknowledged.
fn forward(sink: &mut NdjsonSink, entries: &[Entry], mut acknowledged: usize, attempts: usize) -> usize {
    let (mut is_open, mut failures) = (false, 0);
    while acknowledged < entries.len() && failures < attempts {
        if !is_open && open(sink).is_err() {
            failures += 1;
            continue;
        }
        is_open = true;
        let batch = &entries[acknowledged..entries.len().min(acknowledged + BATCH)];
        match sink.append(batch) {
            Ok(ack) => {
                assert_eq!(ack.rejected, []);
                acknowledged += batch.len();
            }
            Err(error) => {
                assert!(!matches!(error, SinkError::Fatal { .. }), "{error:?}");
                is_open = !matches!(error, SinkError::Reopen { .. });
                failures += 1;
            }
        }
    }
    acknowledged
}

#[test]
fn whatever_operation_fails_once_every_entry_stands_once() {
    let entries = entries(60);
    for fail_at in 1.. {
        let faulty = FaultyStorage::failing_once_at(fail_at);
        let storage: Arc<dyn Storage> = Arc::new(faulty.clone());
        let mut sink = sink(&storage, &small());
        assert_eq!(forward(&mut sink, &entries, 0, 5), entries.len(), "operation {fail_at}");
        assert_eq!(held(&storage), again(&entries), "operation {fail_at} failed");
        let synced: Arc<dyn Storage> = Arc::new(faulty.after_power_cut());
        assert_eq!(held(&synced), again(&entries), "operation {fail_at} failed, and at the end the power");
        if faulty.operations() < fail_at {
            assert!(fail_at > 50, "only {fail_at} operations were tried");
            return;
        }
    }
}

#[test]
fn whenever_the_process_or_the_power_goes_what_was_acknowledged_is_there_once() {
    let entries = entries(60);
    for fail_at in 1.. {
        let faulty = FaultyStorage::failing_at(fail_at);
        let storage: Arc<dyn Storage> = Arc::new(faulty.clone());
        let acknowledged = forward(&mut sink(&storage, &small()), &entries, 0, 3);
        for (what, left) in [("process", faulty.after_process_death()), ("power", faulty.after_power_cut())] {
            let left: Arc<dyn Storage> = Arc::new(left);
            // The cursor may lag behind by a batch.
            let from = acknowledged.saturating_sub(BATCH);
            let end = forward(&mut sink(&left, &small()), &entries, from, 1);
            assert_eq!(end, entries.len(), "{what} gone at operation {fail_at}");
            assert_eq!(held(&left), again(&entries), "{what} gone at operation {fail_at}");
        }
        if faulty.operations() < fail_at {
            return;
        }
    }
}

#[test]
fn a_full_disk_is_waited_for() {
    let entries = entries(60);
    for from in (1..60).step_by(3) {
        for faulty in [
            FaultyStorage::full_during(from..from + 9),
            FaultyStorage::full_also_at_syncs_during(from..from + 9),
        ] {
            let storage: Arc<dyn Storage> = Arc::new(faulty);
            let end = forward(&mut sink(&storage, &small()), &entries, 0, 30);
            assert_eq!((end, held(&storage)), (entries.len(), again(&entries)), "full from {from} on");
        }
    }
}

fn names(storage: &dyn Storage) -> Vec<String> {
    let files = folder::files(storage, ledger_id()).unwrap();
    files.iter().map(|file| file.path(ledger_id()).split_once('/').unwrap().1.to_owned()).collect()
}

fn len(storage: &dyn Storage, name: &str) -> u64 {
    storage.open(&format!("{}/{name}", ledger_id()), false).unwrap().len().unwrap()
}

#[test]
fn files_end_at_their_size_and_only_so_many_are_kept() {
    let entries = entries(60);
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::default());
    assert_eq!(forward(&mut sink(&storage, &small()), &entries, 0, 1), entries.len());
    let all = names(&*storage);
    assert!(all.len() > 8 && all[0] == "00000001-20260101T000000Z.ndjson", "{all:?}");
    assert!(all.iter().all(|name| len(&*storage, name) <= 2_000));

    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::default());
    let settings = small().keep_files(3);
    assert_eq!(forward(&mut sink(&storage, &settings), &entries, 0, 1), entries.len());
    assert_eq!(names(&*storage), all[all.len() - 3..]);
    // What is gone is still known: it does not come again when everything does.
    let kept = held(&storage);
    assert_eq!(forward(&mut sink(&storage, &settings), &entries, 0, 1), entries.len());
    assert_eq!(held(&storage), kept);
    assert!(kept.len() > 5 && again(&entries).ends_with(&kept));
}

#[test]
fn files_end_at_their_age() {
    let entries = entries(21);
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::default());
    let settings = NdjsonSettings::new("").rotate_age(Duration::from_secs(60));
    for (part, now_us) in [
        (&entries[..7], (|| 1_767_225_600_000_000) as fn() -> i64),
        (&entries[7..14], || 1_767_225_659_999_999),
        (&entries[14..], || 1_767_225_660_000_000),
    ] {
        let mut sink = NdjsonSink::on(Arc::clone(&storage), settings.clone(), now_us);
        open(&mut sink).unwrap();
        sink.append(part).unwrap();
    }
    assert_eq!(names(&*storage), ["00000001-20260101T000000Z.ndjson", "00000002-20260101T000100Z.ndjson"]);
    assert_eq!(held(&storage), again(&entries));
}

#[test]
fn a_torn_line_is_kept_aside_and_comes_again() {
    let entries = entries(20);
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::default());
    forward(&mut sink(&storage, &NdjsonSettings::new("")), &entries[..14], 0, 1);
    let path = format!("{}/{}", ledger_id(), names(&*storage)[0]);
    let file = storage.open(&path, false).unwrap();
    let end = file.len().unwrap();
    file.write_all_at(end, &entries[14].bytes()[..50]).unwrap();
    // Whoever reads meanwhile sees what is whole.
    assert_eq!(held(&storage), again(&entries[..14]));
    forward(&mut sink(&storage, &NdjsonSettings::new("")), &entries, 7, 1);
    assert_eq!(held(&storage), again(&entries));
    let aside = storage.read(&format!("{}/torn/00000001-at-{end}", ledger_id())).unwrap().unwrap();
    assert_eq!(aside, entries[14].bytes()[..50]);
}

#[test]
fn lost_lines_in_the_middle_are_told_once() {
    let entries = entries(20);
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::default());
    forward(&mut sink(&storage, &NdjsonSettings::new("")), &entries[..14], 0, 1);
    let path = format!("{}/{}", ledger_id(), names(&*storage)[0]);
    let file = storage.open(&path, false).unwrap();
    let before: usize = entries[..9].iter().map(|entry| entry.bytes().len() + 1).sum();
    file.write_all_at(before as u64 + 200, &[0; 20]).unwrap();

    // The forwarder goes on behind what was acknowledged, so that lines are missing.
    let mut damaged = sink(&storage, &NdjsonSettings::new(""));
    open(&mut damaged).unwrap();
    let error = damaged.append(&entries[14..]).unwrap_err();
    assert!(matches!(error, SinkError::Fatal { .. }), "{error:?}");
    let reason = std::error::Error::source(&error).unwrap().to_string();
    assert!(reason.contains("Replay the sink from there") && reason.contains("are lost"), "{reason}");
    open(&mut damaged).unwrap();
    damaged.append(&entries[14..]).unwrap();
    let held = held(&storage);
    assert!(held.ends_with(&again(&entries[14..])) && held.len() < entries.len());
}

#[test]
fn files_of_somebody_else_are_refused_and_left_alone() {
    let entries = entries(20);
    for (line, said) in [
        ("{\"schema_version\":2,\"kind\":\"event\"}", "a later version wrote it"),
        ("{\"schema_version\":1,\"kind\":\"other\"}", "a later version wrote it"),
        ("{\"message\":\"started\"}", "a later version wrote it"),
    ] {
        let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::default());
        forward(&mut sink(&storage, &NdjsonSettings::new("")), &entries, 0, 1);
        let path = format!("{}/{}", ledger_id(), names(&*storage)[0]);
        let file = storage.open(&path, false).unwrap();
        file.write_all_at(file.len().unwrap(), format!("{line}\n").as_bytes()).unwrap();
        let before = storage.read(&path).unwrap();
        let error = open(&mut sink(&storage, &NdjsonSettings::new(""))).unwrap_err();
        assert!(matches!(error, SinkError::Fatal { .. }) && error.to_string().contains(said), "{error:?}");
        assert_eq!(storage.read(&path).unwrap(), before);
    }
}

#[test]
fn files_are_for_their_owner_and_for_one_writer() {
    let directory = tempfile::tempdir().unwrap();
    let settings = NdjsonSettings::new(directory.path().join("events"));
    let mut first = NdjsonSink::new(settings.clone());
    open(&mut first).unwrap();
    first.append(&entries(5)).unwrap();
    let folder = directory.path().join("events").join(ledger_id().to_string());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    let mut files = 0;
    for file in fs::read_dir(&folder).unwrap() {
        assert_eq!(mode(&file.unwrap().path()), 0o600);
        files += 1;
    }
    assert_eq!(files, 2, "the lock and a file");
    let mut second = NdjsonSink::new(settings);
    let error = open(&mut second).unwrap_err();
    assert!(matches!(error, SinkError::Retry { .. }), "{error:?}");
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("another sink"));
    first.close().unwrap();
    open(&mut second).unwrap();
}

#[test]
fn what_could_not_be_given_back_is_rejected_alone() {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::default());
    let mut sink = sink(&storage, &NdjsonSettings::new(""));
    open(&mut sink).unwrap();
    let mut batch = entries(6);
    let whole = batch[3].bytes();
    let torn = [&whole[..whole.len() - 1], b"\n}"].concat();
    batch[3] = Entry::line(batch[3].position(), torn).unwrap();
    batch.push(Entry::checkpoint(ledger_id(), 1, LogPosition::START, b"{\"number\":1}".to_vec()));
    let ack = sink.append(&batch).unwrap();
    assert_eq!(ack.rejected.iter().map(|one| one.index).collect::<Vec<_>>(), [3, 8]);
    batch.remove(8);
    batch.remove(3);
    assert_eq!(held(&storage), again(&batch));
    assert_eq!(batch.iter().filter(|entry| entry.kind() == EntryKind::Event).count(), 5);
}

#[cfg(feature = "ndjson-zstd")]
#[test]
fn files_that_have_ended_are_compressed_also_after_a_crash() {
    let entries = entries(60);
    let settings = small().compress(true);
    for fail_at in 1.. {
        let faulty = FaultyStorage::failing_at(fail_at);
        let storage: Arc<dyn Storage> = Arc::new(faulty.clone());
        let acknowledged = forward(&mut sink(&storage, &settings), &entries, 0, 3);
        let left: Arc<dyn Storage> = Arc::new(faulty.after_process_death());
        assert_eq!(forward(&mut sink(&left, &settings), &entries, acknowledged, 1), entries.len());
        assert_eq!(held(&left), again(&entries), "gone at operation {fail_at}");
        let names = names(&*left);
        let plain = names.iter().filter(|name| name.ends_with(".ndjson")).count();
        assert_eq!(plain, 1, "{names:?}");
        if faulty.operations() < fail_at {
            assert!(names.len() > 8);
            // Without the newest, which alone is plain, the next knows where to go on.
            let newest = names.last().unwrap();
            let (missing, path) = (len(&*left, newest), format!("{}/{newest}", ledger_id()));
            left.remove(&path).unwrap();
            assert!(missing > 0 && held(&left).len() < entries.len());
            assert_eq!(forward(&mut sink(&left, &settings), &entries, 0, 1), entries.len());
            assert_eq!(held(&left), again(&entries));
            return;
        }
    }
}
