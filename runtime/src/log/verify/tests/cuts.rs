//! Logs that begin at a cut: verified from there, and every attack on the cut is named.

use super::ledger::{TestLedger, build, build_open, check, copy, scopes};
use crate::event::LineHash;
use crate::log::checkpoint::{CHECKPOINTS_NAME, CheckpointReason};
use crate::log::cut::{CUTS_NAME, Cut, CutFile};
use crate::log::head_table_name;
use crate::log::heads::tests::scope;
use crate::log::identity::{IDENTITY_NAME, LedgerIdentity};
use crate::log::segment_name;
use crate::log::signer::Ed25519Signer;
use crate::log::storage::{MemoryStorage, Storage};
use crate::log::verify::{Verdict, VerifyOptions, VerifyReport, verify_storage};

#[track_caller]
fn assert_only(report: &VerifyReport, verdicts: &[Verdict], what: &str) {
    assert!(!report.is_verified(), "{what} was not detected: {report}");
    let found = report.findings.iter().any(|finding| verdicts.contains(&finding.verdict));
    assert!(found, "{what}: none of {verdicts:?} in {report}");
    let other = report.findings.iter().find(|finding| !verdicts.contains(&finding.verdict));
    assert!(other.is_none(), "{what}: {other:?} in {report}");
}

/// The ledger of [`build`], which begins with its second segment.
fn cut_once(seed: u64) -> MemoryStorage {
    let mut ledger = build(seed);
    ledger.cut(1);
    ledger.remove_dropped();
    ledger.copy()
}

fn change(storage: &MemoryStorage, name: &str, from: &str, to: &str) {
    let text = String::from_utf8(storage.read(name).unwrap().unwrap()).unwrap();
    assert!(text.contains(from), "{from} is not in {text}");
    storage.replace(name, text.replacen(from, to, 1).as_bytes()).unwrap();
}

#[test]
fn a_log_is_verified_from_each_cut_on_whatever_was_removed_yet() {
    for seed in 1..=10 {
        let whole = check(&build(seed).storage);
        for is_open in [false, true] {
            let mut ledger = if is_open { build_open(seed) } else { build(seed) };
            let (mut events, mut seen) = (0, 0);
            for last in [1, 2] {
                let cut = ledger.cut(last);
                events += cut.cut.events;
                // Nothing is removed yet; the first segment alone; everything.
                for step in 0..3 {
                    match step {
                        0 => {}
                        1 => ledger.storage.remove(&segment_name(last)).unwrap(),
                        _ => ledger.remove_dropped(),
                    }
                    let report = check(&ledger.storage);
                    assert!(report.is_verified(), "seed {seed}, cut {last}, step {step}: {report}");
                    let begins = report.cut.as_ref().unwrap();
                    assert_eq!((begins.position.segment, begins.number), (last + 1, u64::from(last)));
                    assert_eq!((begins.dropped_events, begins.dropped_segments), (events, u64::from(last)));
                    assert_eq!(report.events + events, whole.events, "seed {seed}, cut {last}, step {step}");
                    assert_eq!(report.streams, 7, "streams without a line left are still streams");
                    seen += 1;
                }
            }
            assert_eq!(seen, 6);
            // It goes on, as any log does.
            ledger.event(&scopes()[0]);
            ledger.event(&scope("newcomer", "prod"));
            ledger.checkpoint(CheckpointReason::Interval);
            ledger.rotate();
            ledger.cut(3);
            ledger.remove_dropped();
            ledger.event(&scopes()[1]);
            ledger.close();
            let report = check(&ledger.storage);
            assert!(report.is_verified(), "seed {seed}: {report}");
            assert_eq!((report.events, report.streams), (1, 8));
        }
    }
}

#[test]
fn a_log_without_its_start_needs_a_cut() {
    let storage = cut_once(1);
    let cuts = storage.read(CUTS_NAME).unwrap().unwrap();
    storage.remove(CUTS_NAME).unwrap();
    let report = check(&storage);
    assert!(report.findings.iter().any(|finding| finding.verdict == Verdict::SegmentMissing), "{report}");
    // A line whose writing was cut short dropped nothing.
    storage.replace(CUTS_NAME, &cuts[..cuts.len() - 1]).unwrap();
    let report = check(&storage);
    assert!(report.findings.iter().any(|finding| finding.verdict == Verdict::SegmentMissing), "{report}");
}

#[test]
fn a_removed_newest_cut_leaves_a_log_without_its_start() {
    let mut ledger = build(2);
    ledger.cut(1);
    let first = ledger.storage.read(CUTS_NAME).unwrap().unwrap();
    ledger.cut(2);
    ledger.remove_dropped();
    ledger.storage.replace(CUTS_NAME, &first).unwrap();
    let report = check(&ledger.storage);
    assert!(!report.is_verified());
    assert!(report.findings.iter().any(|finding| finding.verdict == Verdict::SegmentMissing), "{report}");
}

#[test]
fn altered_cuts_are_named() {
    for (from, to) in [
        ("\"number\":1", "\"number\":2"),
        ("\"keep_for_s\":60", "\"keep_for_s\":61"),
        ("\"events\":", "\"events\":1"),
        ("\"segment\":2,\"offset\":0", "\"segment\":3,\"offset\":0"),
        ("\"kind\":\"cut\"", "\"kind\":\"nut\""),
    ] {
        let storage = cut_once(3);
        change(&storage, CUTS_NAME, from, to);
        let report = check(&storage);
        assert!(!report.is_verified());
        let named = report.findings.iter().any(|finding| finding.verdict == Verdict::CutAltered);
        assert!(named, "{from} to {to}: {report}");
    }
}

#[test]
fn a_cut_signed_with_an_unknown_key_does_not_count() {
    let mut ledger = build(4);
    let own = std::mem::replace(&mut ledger.signer, Ed25519Signer::from_seed([9; 32]));
    ledger.cut(1);
    ledger.signer = own;
    // Also while the segment is still there: it was to be dropped by somebody else.
    let report = check(&ledger.storage);
    assert_only(&report, &[Verdict::UnknownKey], "a foreign key");
    ledger.remove_dropped();
    assert!(check(&ledger.storage).findings.iter().any(|found| found.verdict == Verdict::SegmentMissing));
}

#[test]
fn cuts_that_are_swapped_repeated_or_left_out_are_named() {
    let mut ledger = build(5);
    ledger.cut(1);
    ledger.cut(2);
    ledger.remove_dropped();
    let lines = CutFile::read(&ledger.storage).unwrap().lines;
    let write = |lines: &[&[u8]]| {
        let storage = copy(&ledger.storage);
        let bytes: Vec<u8> = lines.iter().flat_map(|line| line.iter().chain(b"\n")).copied().collect();
        storage.replace(CUTS_NAME, &bytes).unwrap();
        check(&storage)
    };
    assert!(write(&[&lines[0], &lines[1]]).is_verified());
    for (lines, what) in [
        (vec![&lines[1][..]], "the first is left out"),
        (vec![&lines[1][..], &lines[0]], "swapped"),
        (vec![&lines[0][..], &lines[0], &lines[1]], "repeated"),
    ] {
        let report = write(&lines);
        let named = report
            .findings
            .iter()
            .any(|finding| matches!(finding.verdict, Verdict::CutMissing | Verdict::CutInconsistent));
        assert!(named, "{what}: {report}");
    }
}

#[test]
fn a_cut_of_another_ledger_does_not_count() {
    let other: crate::ids::LedgerId = "0190b5a0-0000-7000-8000-0000000000ff".parse().unwrap();
    let mut ledger = build(6);
    let stored = ledger.cut(1);
    let text = String::from_utf8(stored.line.clone()).unwrap();
    let foreign = text.replace(&TestLedger::id().to_string(), &format!("{other}"));
    let unsigned = foreign.split_once(",\"signature\"").unwrap().0.to_owned() + "}";
    let signature = crate::log::signer::Signer::sign(&ledger.signer, unsigned.as_bytes()).unwrap();
    let hex: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
    let line = format!("{},\"signature\":\"{hex}\"}}\n", &unsigned[..unsigned.len() - 1]);
    assert!(Cut::from_line(line.trim_end().as_bytes()).is_ok());
    ledger.storage.replace(CUTS_NAME, line.as_bytes()).unwrap();
    assert_only(&check(&ledger.storage), &[Verdict::CutInconsistent], "the same key, another ledger");
}

#[test]
fn what_a_cut_names_must_be_there() {
    let storage = cut_once(7);
    let table = head_table_name(1);
    let bytes = storage.read(&table).unwrap().unwrap();
    storage.remove(&table).unwrap();
    let report = check(&storage);
    assert!(report.findings.iter().any(|found| found.verdict == Verdict::HeadTableMismatch), "{report}");
    storage.replace(&table, &bytes).unwrap();
    assert!(check(&storage).is_verified());
    change(&storage, &table, "\"seq\":", "\"seq\":1");
    let report = check(&storage);
    assert!(report.findings.iter().any(|found| found.verdict == Verdict::HeadTableMismatch), "{report}");
    storage.replace(&table, &bytes).unwrap();
    // The checkpoints up to the one at the cut, and that one alone.
    let cut = CutFile::read(&storage).unwrap().newest().unwrap().unwrap().cut;
    let checkpoints = storage.read(CHECKPOINTS_NAME).unwrap().unwrap();
    let lines: Vec<&[u8]> = checkpoints.split_inclusive(|byte| *byte == b'\n').collect();
    let at = cut.checkpoint.number as usize;
    for range in [0..at, at - 1..at] {
        let left: Vec<&[u8]> = lines
            .iter()
            .enumerate()
            .filter(|(index, _)| !range.contains(index))
            .map(|(_, line)| *line)
            .collect();
        storage.replace(CHECKPOINTS_NAME, &left.concat()).unwrap();
        let report = check(&storage);
        for verdict in [Verdict::CheckpointMissing, Verdict::CutInconsistent] {
            assert!(report.findings.iter().any(|found| found.verdict == verdict), "{range:?}: {report}");
        }
    }
}

#[test]
fn a_dropped_segment_that_is_put_back_must_be_what_was_dropped() {
    let mut ledger = build(8);
    ledger.cut(1);
    ledger.cut(2);
    let dropped = ledger.storage.read(&segment_name(1)).unwrap().unwrap();
    ledger.remove_dropped();
    let storage = ledger.copy();
    storage.replace(&segment_name(1), &dropped).unwrap();
    assert!(check(&storage).is_verified());
    let mut altered = dropped.clone();
    altered[100] ^= 1;
    for bytes in [&altered[..], &dropped[..dropped.len() - 1], b""] {
        storage.replace(&segment_name(1), bytes).unwrap();
        let report = check(&storage);
        assert_only(&report, &[Verdict::DroppedSegmentAltered], "put back otherwise");
        assert_eq!(report.findings[0].position.unwrap().segment, 1);
    }
}

#[test]
fn what_is_left_behind_a_cut_is_as_protected_as_before() {
    for seed in 1..=10 {
        let storage = cut_once(seed);
        let name = segment_name(2);
        let text = String::from_utf8(storage.read(&name).unwrap().unwrap()).unwrap();
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let tampered = |lines: Vec<String>| {
            let storage = copy(&storage);
            storage.replace(&name, lines.concat().as_bytes()).unwrap();
            check(&storage)
        };
        for at in [0, 1, lines.len() / 2, lines.len() - 1] {
            let mut without: Vec<String> = lines.iter().map(ToString::to_string).collect();
            let mut altered = without.clone();
            without.remove(at);
            assert!(!tampered(without).is_verified(), "seed {seed}: line {at} is removed");
            altered[at] = altered[at].replacen("\"request_id\":\"r", "\"request_id\":\"s", 1);
            assert_ne!(altered[at], lines[at]);
            assert!(!tampered(altered).is_verified(), "seed {seed}: line {at} is altered");
        }
        // The first event behind the cut is chained to what the head table says of the dropped one.
        let first = lines.iter().position(|line| line.contains("\"kind\":\"event\"")).unwrap();
        let mut rechained: Vec<String> = lines.iter().map(ToString::to_string).collect();
        let (head, rest) = rechained[first].split_once("\"prev\":\"").unwrap();
        rechained[first] = format!("{head}\"prev\":\"{}{}", LineHash([3; 32]), &rest[64..]);
        let report = tampered(rechained);
        let named = report.findings.iter().any(|found| found.message.contains("from the cut"));
        assert!(named, "seed {seed}: {report}");
    }
}

#[test]
fn a_loss_is_accepted_behind_a_cut() {
    let mut ledger = build(9);
    ledger.cut(1);
    ledger.remove_dropped();
    ledger.accept_loss_behind_cut(2);
    ledger.event(&scopes()[2]);
    ledger.close();
    let report = check(&ledger.storage);
    assert!(report.is_verified(), "{report}");
    assert_eq!(report.accepted_losses.len(), 1);
}

#[test]
fn heads_that_were_noted_before_the_cut_cannot_be_told_of_any_more() {
    let before = check(&build(1).storage);
    assert_eq!(before.expected_dropped, 0);
    let storage = cut_once(1);
    let one = scope("acme", "prod");
    let head = |seq, hash| crate::log::heads::StreamHead { scope: one.clone(), seq, hash };
    let dropped =
        verify_storage(&storage, &VerifyOptions::new().expect_head(head(1, LineHash([1; 32])))).unwrap();
    assert!(dropped.is_verified(), "{dropped}");
    assert_eq!((dropped.expected, dropped.expected_dropped), (1, 1));
    assert!(dropped.cannot_tell().iter().any(|limit| limit.contains("before the cut")));
    let newest = verify_storage(&storage, &VerifyOptions::new().scope(one.clone())).unwrap().head.unwrap();
    let wrong = head(newest.seq, LineHash([1; 32]));
    for (head, is_verified) in [(newest, true), (wrong, false)] {
        let report = verify_storage(&storage, &VerifyOptions::new().expect_head(head)).unwrap();
        assert_eq!((report.is_verified(), report.expected_dropped), (is_verified, 0), "{report}");
    }
}

#[test]
fn a_cut_counts_under_a_trusted_key_alone() {
    let storage = cut_once(1);
    let identity = LedgerIdentity::parse(&storage.read(IDENTITY_NAME).unwrap().unwrap()).unwrap();
    let key = identity.keys[0].public_key.0;
    let trusted = |key| verify_storage(&storage, &VerifyOptions::new().trust_key(key)).unwrap();
    assert!(trusted(key).is_verified());
    assert!(!trusted([5; 32]).is_verified());
}
