use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::*;
use crate::ids::Scope;
use crate::log::line::genesis;
use crate::sinks::MemoryState;

fn ledger_id() -> LedgerId {
    "0190b5a0-0000-7000-8000-000000000001".parse().unwrap()
}

fn line(number: u64) -> Vec<u8> {
    let ledger_id = ledger_id();
    let prev = genesis(ledger_id, &Scope::system());
    format!(
        r#"{{"schema_version":1,"kind":"event","ledger_id":"{ledger_id}","event_id":"0190b5a0-0000-7000-8000-00000000{number:04}","tenant_id":"a","env":"prod","seq":1,"prev":"{prev}","surface":"a.b"}}"#
    )
    .into_bytes()
}

fn at(segment: u32, offset: u64) -> LogPosition {
    LogPosition { segment, offset }
}

fn line_bytes() -> u64 {
    line(1).len() as u64 + 1
}

/// The n-th line of a log whose segments have `a_segment` lines.
fn entry(number: u64, a_segment: u64) -> Entry {
    let position = at((number / a_segment) as u32 + 1, number % a_segment * line_bytes());
    Entry::line(position, line(number)).unwrap()
}

fn checkpoint(number: u64) -> Entry {
    Entry::checkpoint(ledger_id(), number, at(1, 0), format!("{{\"number\":{number}}}").into_bytes())
}

fn opened(directory: &Path) -> ReplicaSink {
    let mut sink = ReplicaSink::new(ReplicaSettings::directory(directory).prefix("p").unwrap());
    sink.open(&SinkStart::new(ledger_id(), &mut MemoryState::default())).unwrap();
    sink
}

/// Every object below the ledger's folder.
fn objects(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let top = directory.join("p").join(ledger_id().to_string());
    let (mut found, mut folders) = (BTreeMap::new(), vec![top.clone()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(&top).unwrap().to_str().unwrap().to_owned();
                found.insert(name, fs::read(path).unwrap());
            }
        }
    }
    found
}

/// The bytes of each segment, put together from objects that must not overlap.
fn segments(directory: &Path) -> BTreeMap<u64, Vec<u8>> {
    let mut segments: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    for (name, bytes) in objects(directory) {
        let Some(range) = name.strip_prefix("log/").and_then(RangeName::parse_log) else { continue };
        let segment = segments.entry(range.folder).or_default();
        assert_eq!((range.from, range.to - range.from), (segment.len() as u64, bytes.len() as u64), "{name}");
        segment.extend(bytes);
    }
    segments
}

fn whole(numbers: std::ops::Range<u64>) -> Vec<u8> {
    numbers.flat_map(|number| [line(number), b"\n".to_vec()].concat()).collect()
}

#[test]
fn every_entry_is_an_object_named_by_what_it_holds() {
    let directory = tempfile::tempdir().unwrap();
    let mut sink = opened(directory.path());
    let identity = Entry::identity(ledger_id(), b"{\"keys\":[]}\n".to_vec());
    let table = Entry::head_table(ledger_id(), at(1, 2 * line_bytes()), b"{\"heads\":[]}\n".to_vec());
    let hash = identity.hash();
    let batch =
        [identity, checkpoint(1), entry(0, 2), entry(1, 2), checkpoint(2), table, entry(2, 2), checkpoint(3)];
    assert_eq!(sink.append(&batch).unwrap(), Ack::all());
    let end = 2 * line_bytes();
    let expected = BTreeMap::from([
        (format!("identity/{hash}.json"), b"{\"keys\":[]}\n".to_vec()),
        (format!("log/00000001/{:020}-{end:020}.ndjson", 0), whole(0..2)),
        (format!("log/00000002/{:020}-{:020}.ndjson", 0, line_bytes()), whole(2..3)),
        (format!("heads/00000001/{end:020}.json"), b"{\"heads\":[]}\n".to_vec()),
        (
            format!("checkpoints/{:016}/{:020}-{:020}.ndjson", 0, 1, 3),
            b"{\"number\":1}\n{\"number\":2}\n{\"number\":3}\n".to_vec(),
        ),
    ]);
    assert_eq!(objects(directory.path()), expected);
}

/// A sink that is opened anew at random places, and gets batches again from before where it was: what is stored is
/// the log, once, whatever the cuts were.
#[test]
fn batches_that_are_cut_at_other_places_store_each_byte_once() {
    let mut random = crate::query::synthetic::Random::new();
    for _ in 0..20 {
        let directory = tempfile::tempdir().unwrap();
        let (lines, a_segment) = (60, 17);
        let mut sink = opened(directory.path());
        let (mut at, mut duplicates, mut sent) = (0, 0, 0);
        while at < lines {
            let end = (at + 1 + random.below(9)).min(lines);
            let batch: Vec<_> = (at..end).flat_map(|n| [entry(n, a_segment), checkpoint(n + 1)]).collect();
            sent += batch.len() as u64;
            duplicates += sink.append(&batch).unwrap().duplicates;
            at = end;
            if random.is_one_in(3) {
                at -= random.below(at.min(25) + 1);
                if random.is_one_in(2) {
                    sink = opened(directory.path());
                }
            }
        }
        assert_eq!(sent - duplicates, 2 * lines);
        let stored = segments(directory.path());
        assert_eq!(stored.into_values().collect::<Vec<_>>().concat(), whole(0..lines));
        let checkpoints: Vec<u8> = objects(directory.path())
            .into_iter()
            .filter(|(name, _)| name.starts_with("checkpoints/"))
            .flat_map(|(_, bytes)| bytes)
            .collect();
        let expected: String = (1..=lines).map(|number| format!("{{\"number\":{number}}}\n")).collect();
        assert_eq!(String::from_utf8(checkpoints).unwrap(), expected);
    }
}

#[test]
fn a_lost_object_is_stored_again_by_a_replay() {
    let directory = tempfile::tempdir().unwrap();
    let mut sink = opened(directory.path());
    for number in 0..5 {
        sink.append(&[entry(number, 100)]).unwrap();
    }
    let before = objects(directory.path());
    let lost = before.keys().nth(2).unwrap();
    fs::remove_file(directory.path().join("p").join(ledger_id().to_string()).join(lost)).unwrap();
    let batch: Vec<_> = (0..5).map(|number| entry(number, 100)).collect();
    assert_eq!(opened(directory.path()).append(&batch).unwrap().duplicates, 4);
    assert_eq!(objects(directory.path()), before);
}

/// A store that forgets while the sink is open: what the sink has listed is no longer so, and it lists anew.
#[test]
fn an_object_that_goes_is_stored_again_after_a_reopening() {
    let directory = tempfile::tempdir().unwrap();
    let mut sink = opened(directory.path());
    sink.append(&[entry(0, 100)]).unwrap();
    let before = objects(directory.path());
    fs::remove_dir_all(directory.path().join("p")).unwrap();
    let error = sink.append(&[entry(0, 100)]).unwrap_err();
    assert!(matches!(error, SinkError::Reopen { .. }), "{error:?}");
    sink.open(&SinkStart::new(ledger_id(), &mut MemoryState::default())).unwrap();
    assert_eq!(sink.append(&[entry(0, 100)]).unwrap(), Ack::all());
    assert_eq!(objects(directory.path()), before);
}

#[test]
fn an_opening_lists_from_the_newest_segment_that_the_sink_knows_of() {
    let directory = tempfile::tempdir().unwrap();
    let mut state = MemoryState::default();
    let mut sink = ReplicaSink::new(ReplicaSettings::directory(directory.path()));
    for number in 0..5 {
        sink.open(&SinkStart::new(ledger_id(), &mut state)).unwrap();
        let open = sink.open.as_ref().unwrap();
        assert!(open.log.knows(number.max(1)) && open.checkpoints.knows(0));
        assert_eq!(open.log.knows(number.saturating_sub(1)), number == 0, "{number}");
        assert_eq!(open.log.end().map(|(segment, _)| segment), (number > 0).then_some(number));
        sink.append(&[entry(number, 1)]).unwrap();
        sink.close().unwrap();
    }
}

#[test]
fn other_bytes_for_a_place_that_is_taken_are_fatal_and_change_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut sink = opened(directory.path());
    let batch: Vec<_> = (0..4).map(|number| entry(number, 100)).collect();
    sink.append(&batch).unwrap();
    sink.append(&[checkpoint(1), checkpoint(2)]).unwrap();
    let before = objects(directory.path());
    let other = Entry::line(at(1, line_bytes()), line(9)).unwrap();
    let other_checkpoint = Entry::checkpoint(ledger_id(), 2, at(1, 0), b"{\"number\":9}".to_vec());
    let table = |text: &str| Entry::head_table(ledger_id(), at(1, 0), text.into());
    sink.append(&[table("a")]).unwrap();
    for mut sink in [sink, opened(directory.path())] {
        for entry in [other_checkpoint.clone_for_test(), other.clone_for_test(), table("b")] {
            let error = sink.append(&[entry]).unwrap_err();
            assert!(matches!(&error, SinkError::Fatal { .. }), "{error:?}");
            let reason = std::error::Error::source(&error).unwrap().to_string();
            assert!(reason.contains("holds other bytes"), "{reason}");
        }
    }
    let mut after = objects(directory.path());
    after.retain(|name, _| !name.starts_with("heads/"));
    assert_eq!(after, before);
}

#[test]
fn lines_that_do_not_follow_are_refused_with_the_filter_named() {
    let directory = tempfile::tempdir().unwrap();
    let refused = |sink: &mut ReplicaSink, batch: &[Entry]| {
        let error = sink.append(batch).unwrap_err();
        assert!(matches!(&error, SinkError::Fatal { .. }), "{error:?}");
        let reason = std::error::Error::source(&error).unwrap().to_string();
        assert!(reason.contains("surface filter"), "{reason}");
    };
    let mut sink = opened(directory.path());
    // Nothing is there, and it does not begin at the beginning of a segment.
    refused(&mut sink, &[entry(1, 100)]);
    refused(&mut sink, &[entry(0, 100), entry(2, 100)]);
    sink.append(&[entry(0, 100)]).unwrap();
    refused(&mut sink, &[entry(2, 100)]);
    refused(&mut opened(directory.path()), &[entry(2, 100)]);
    // A later segment than the next.
    let far = Entry::line(at(3, 0), line(1)).unwrap();
    refused(&mut sink, &[far]);
    assert_eq!(segments(directory.path()).into_values().collect::<Vec<_>>().concat(), whole(0..1));
    sink.append(&[entry(1, 100)]).unwrap();
}

#[test]
fn a_batch_is_cut_to_the_size_of_objects() {
    let directory = tempfile::tempdir().unwrap();
    let settings = ReplicaSettings::directory(directory.path()).prefix("p").unwrap().object_bytes(1);
    let mut sink = ReplicaSink::new(settings);
    sink.open(&SinkStart::new(ledger_id(), &mut MemoryState::default())).unwrap();
    let lines = 3 * (64 << 10) / line_bytes();
    let batch: Vec<_> = (0..lines).map(|number| entry(number, 10_000)).collect();
    sink.append(&batch).unwrap();
    let stored = objects(directory.path());
    assert_eq!(stored.len(), 3);
    assert!(stored.values().all(|bytes| bytes.len() <= 64 << 10 && bytes.ends_with(b"\n")));
    assert_eq!(segments(directory.path())[&1], whole(0..lines));
}

#[test]
fn another_ledger_and_a_sink_that_is_not_open_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut sink = opened(directory.path());
    let other: LedgerId = "0190b5a0-0000-7000-8000-000000000009".parse().unwrap();
    let error = sink.append(&[Entry::identity(other, b"{}".to_vec())]).unwrap_err();
    assert!(matches!(error, SinkError::Fatal { .. }));
    sink.close().unwrap();
    let error = sink.append(&[entry(0, 1)]).unwrap_err();
    assert!(matches!(error, SinkError::Reopen { .. }));
}

/// A directory that cannot be written for now.
#[test]
fn a_target_that_is_away_asks_for_a_retry_and_takes_the_batch_later() {
    let directory = tempfile::tempdir().unwrap();
    let inside = directory.path().join("replica");
    let mut sink = opened(&inside);
    fs::rename(&inside, directory.path().join("away")).unwrap();
    fs::write(&inside, "not a directory").unwrap();
    let error = sink.append(&[entry(0, 100)]).unwrap_err();
    assert!(
        matches!(&error, SinkError::Retry { attempted, .. } if attempted.contains("replica")),
        "{error:?}"
    );
    fs::remove_file(&inside).unwrap();
    fs::rename(directory.path().join("away"), &inside).unwrap();
    sink.append(&[entry(0, 100)]).unwrap();
    assert_eq!(segments(&inside)[&1], whole(0..1));
}

impl Entry {
    fn clone_for_test(&self) -> Self {
        match self.key() {
            crate::sinks::EntryKey::Checkpoint(number) => {
                Self::checkpoint(self.ledger_id(), number, self.position(), self.bytes().to_vec())
            }
            _ => Self::line(self.position(), self.bytes().to_vec()).unwrap(),
        }
    }
}
