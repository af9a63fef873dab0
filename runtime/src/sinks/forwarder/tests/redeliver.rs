//! Dead letters are offered again.

use super::*;
use crate::LogPosition;
use crate::log::storage_faults::FaultyStorage;
use crate::sinks::DeadLetter;
use crate::sinks::forwarder::dead_letters::{DeadLetters, newest};

/// A ledger of which a sink refused events by their places in the first batch, and its dead letters, the oldest first.
fn refused(
    storage: &MemoryStorage,
    rig: &Rig,
    batch: usize,
    places: Vec<usize>,
) -> (Ledger, Vec<DeadLetter>) {
    let ledger = options(storage).open().unwrap();
    record(&ledger, "probe.bad", 40);
    rig.target.answers([Answer::Reject(places)]);
    ledger.sinks().add(rig.spec("copy").batch_entries(batch)).unwrap();
    wait_until_caught_up(&ledger, "copy");
    let mut letters = ledger.sinks().dead_letters("copy", 100).unwrap();
    letters.reverse();
    (ledger, letters)
}

fn texts(letters: &[DeadLetter]) -> Vec<String> {
    letters.iter().map(|letter| letter.text.clone().unwrap()).collect()
}

#[test]
fn what_the_sink_takes_now_leaves_the_dead_letters_and_the_rest_stays() {
    let (storage, rig) = (MemoryStorage::default(), Rig::new());
    let (ledger, letters) = refused(&storage, &rig, 500, vec![5, 9, 12, 20]);
    assert_eq!(letters.len(), 4);
    let before = rig.target.lines().len();
    // Paused, so that a checkpoint that comes meanwhile does not get the answer.
    ledger.sinks().pause("copy").unwrap();
    rig.target.answers([Answer::Reject(vec![1])]);
    assert_eq!(ledger.sinks().redeliver("copy").unwrap(), 4);
    ledger.sinks().resume("copy").unwrap();
    let status = wait_for(&ledger, "copy", |status| status.redelivered == 3);
    assert_eq!(status.dead_letters, 1);
    let all = texts(&letters);
    assert_eq!(rig.target.lines()[before..], [all[0].clone(), all[2].clone(), all[3].clone()], "in order");
    assert_eq!(ledger.sinks().dead_letters("copy", 9).unwrap(), letters[1..2]);
    ledger.close().unwrap();
    // It is so after a restart, and another asking ends it.
    let ledger = options(&storage).sink(rig.spec("copy")).open().unwrap();
    wait_for(&ledger, "copy", |status| status.dead_letters == 1);
    ledger.sinks().redeliver("copy").unwrap();
    wait_for(&ledger, "copy", |status| (status.dead_letters, status.redelivered) == (0, 1));
    assert_eq!(ledger.sinks().dead_letters("copy", 9).unwrap(), []);
    ledger.close().unwrap();
    assert_eq!(storage.read("sinks/copy/dead_letters.ndjson").unwrap().unwrap(), b"");
    let mut stored = rig.target.lines();
    let mut log = log_lines(&storage);
    stored.sort();
    log.sort();
    assert_eq!(stored, log);
}

#[test]
fn a_failure_ends_the_pass_and_keeps_what_was_not_taken() {
    let (storage, rig) = (MemoryStorage::default(), Rig::new());
    let (ledger, letters) = refused(&storage, &rig, 10, (3..10).collect());
    assert_eq!(letters.len(), 7);
    ledger.sinks().remove("copy").unwrap();
    // Two a batch: taken, lost, and what comes from the log meanwhile is taken.
    ledger.sinks().add(rig.spec("copy").batch_entries(2)).unwrap();
    wait_for(&ledger, "copy", |status| status.dead_letters == 7 && status.state == ForwardState::Running);
    ledger.sinks().pause("copy").unwrap();
    rig.target.answers([Answer::Store, Answer::StoreThenRetry]);
    ledger.sinks().redeliver("copy").unwrap();
    ledger.sinks().resume("copy").unwrap();
    let status = wait_for(&ledger, "copy", |status| status.retries == 1);
    assert_eq!((status.dead_letters, status.redelivered), (5, 2));
    record(&ledger, "probe.later", 3);
    wait_until_caught_up(&ledger, "copy");
    assert_eq!(ledger.sinks().status("copy").unwrap().dead_letters, 5, "nobody asked again");
    // Asked while it is paused it waits; two of the five come again.
    ledger.sinks().pause("copy").unwrap();
    ledger.sinks().redeliver("copy").unwrap();
    let appends = rig.target.lock().appends;
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(rig.target.lock().appends, appends);
    ledger.sinks().resume("copy").unwrap();
    wait_for(&ledger, "copy", |status| status.dead_letters == 0);
    ledger.close().unwrap();
    let mut stored = rig.target.lines();
    let mut log = log_lines(&storage);
    stored.sort();
    log.sort();
    assert_eq!(stored, log);
}

#[test]
fn bytes_of_which_no_entry_can_be_made_stay() {
    let (storage, rig) = (MemoryStorage::default(), Rig::new());
    let (ledger, letters) = refused(&storage, &rig, 500, vec![7]);
    ledger.close().unwrap();
    let name = "sinks/copy/dead_letters.ndjson";
    let strange = DeadLetter { kind: "unknown".to_owned(), key: String::new(), ..letters[0].clone() };
    let foreign = DeadLetter { key: "0190b5a0-0000-7000-8000-000000000001".to_owned(), ..letters[0].clone() };
    let lines = [&strange, &letters[0], &foreign].map(|letter| serde_json::to_string(letter).unwrap() + "\n");
    storage.replace(name, lines.concat().as_bytes()).unwrap();
    let ledger = options(&storage).sink(rig.spec("copy")).open().unwrap();
    wait_for(&ledger, "copy", |status| status.dead_letters == 3);
    ledger.sinks().redeliver("copy").unwrap();
    wait_for(&ledger, "copy", |status| status.redelivered == 1);
    assert_eq!(ledger.sinks().dead_letters("copy", 9).unwrap(), [foreign, strange]);
    ledger.close().unwrap();
}

fn letter(number: u64) -> DeadLetter {
    DeadLetter::unreadable(LogPosition { segment: 1, offset: number }, b"{}", "too large", 7)
}

/// What is marked, in order, while the disk works: two of five, a new one, the rest of the first, the new one.
fn redelivering(storage: &FaultyStorage, taken: &mut Vec<u64>) -> std::io::Result<()> {
    let mut letters = DeadLetters::open(Arc::new(storage.clone()), "copy")?;
    letters.keep(&(0..5).map(letter).collect::<Vec<_>>())?;
    let mut pass = |letters: &mut DeadLetters, most| {
        let (batch, next) = letters.batch(0..letters.end(), most, 1 << 20)?;
        // The sink has them before they are marked.
        taken.extend(batch.iter().map(|(_, letter)| letter.position.offset));
        letters.mark(batch.iter().map(|(at, _)| *at).collect(), 9)?;
        Ok::<u64, std::io::Error>(next)
    };
    pass(&mut letters, 2)?;
    letters.keep(&[letter(5), letter(0)])?;
    let next = pass(&mut letters, 3)?;
    assert!(next <= letters.end());
    pass(&mut letters, 500)?;
    assert_eq!((letters.count(), letters.end()), (0, 0));
    letters.keep(&[letter(6)])
}

#[test]
fn a_death_at_any_write_or_sync_loses_no_letter_that_the_sink_does_not_have() {
    let whole = FaultyStorage::default();
    redelivering(&whole, &mut Vec::new()).unwrap();
    assert!(whole.operations() >= 10, "{}", whole.operations());
    for at in 1..=whole.operations() {
        for has_power in [true, false] {
            let storage = FaultyStorage::failing_at(at);
            let mut taken = Vec::new();
            redelivering(&storage, &mut taken).unwrap_err();
            let left = if has_power { storage.after_process_death() } else { storage.after_power_cut() };
            let letters = DeadLetters::open(Arc::new(left.clone()), "copy").unwrap();
            let held: Vec<_> = newest(&left, "copy", 100).unwrap();
            assert_eq!(letters.count(), held.len() as u64);
            let is_there = |number| held.iter().any(|one| one.position.offset == number);
            // 0 to 4 were kept when the first was taken.
            let first = if taken.is_empty() { 0 } else { 5 };
            let lost: Vec<u64> =
                (0..first).filter(|number| !taken.contains(number) && !is_there(*number)).collect();
            assert_eq!(lost, [] as [u64; 0], "operation {at}, taken {taken:?}");
        }
    }
}

#[test]
fn a_disk_that_fails_once_is_written_again() {
    let whole = FaultyStorage::default();
    redelivering(&whole, &mut Vec::new()).unwrap();
    for at in 1..=whole.operations() {
        let storage = FaultyStorage::failing_once_at(at);
        redelivering(&storage, &mut Vec::new()).unwrap_err();
        redelivering(&storage, &mut Vec::new()).unwrap_or_else(|error| panic!("operation {at}: {error}"));
        let held = newest(&storage, "copy", 100).unwrap();
        assert_eq!(held.iter().map(|one| one.position.offset).collect::<Vec<_>>(), [6], "operation {at}");
    }
}
