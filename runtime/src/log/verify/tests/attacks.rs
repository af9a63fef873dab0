//! The twelve attacks, each under several seeds: each is detected, and the verdict names what happened.

use super::ledger::{Random, TestLedger, build, build_open, check, copy, public_key, scopes};
use super::tampering::Files;
use crate::ids::Scope;
use crate::log::head_table_name;
use crate::log::heads::tests::scope;
use crate::log::identity::{IDENTITY_NAME, LedgerIdentity};
use crate::log::signer::Ed25519Signer;
use crate::log::storage::{MemoryStorage, Storage};
use crate::log::verify::{Verdict, VerifyOptions, VerifyReport, verify_storage};

const SEEDS: std::ops::RangeInclusive<u64> = 1..=25;

#[track_caller]
fn assert_found(report: &VerifyReport, verdicts: &[Verdict], what: &str) {
    assert!(!report.is_verified(), "{what} was not detected: {report}");
    let found = report.findings.iter().any(|finding| verdicts.contains(&finding.verdict));
    assert!(found, "{what}: none of {verdicts:?} in {report}");
}

#[track_caller]
fn assert_only(report: &VerifyReport, verdicts: &[Verdict], what: &str) {
    assert_found(report, verdicts, what);
    let other = report.findings.iter().find(|finding| !verdicts.contains(&finding.verdict));
    assert!(other.is_none(), "{what}: {other:?} in {report}");
}

/// A line of a stream with lines before and after it.
fn inner(files: &Files, random: &mut Random) -> (Scope, Vec<usize>, usize) {
    loop {
        let scopes = scopes();
        let scope = scopes[random.below(scopes.len())].clone();
        let stream = files.stream(&scope);
        if stream.len() >= 4 {
            let at = 1 + random.below(stream.len() - 2);
            return (scope, stream, at);
        }
    }
}

#[test]
fn a_modified_line_is_altered() {
    for seed in SEEDS {
        let mut files = Files::read(&build(seed).storage);
        let mut random = Random::new(seed);
        let (scope, stream, at) = inner(&files, &mut random);
        files.lines[stream[at]].replace("chat.send_message", "chat.list_message");
        let report = check(files.write());
        assert_only(&report, &[Verdict::AlteredLine], &format!("seed {seed}"));
        let finding = &report.findings[0];
        assert_eq!((finding.scope.as_ref(), finding.seq), (Some(&scope), Some(at as u64 + 1)));
    }
}

#[test]
fn a_modified_newest_line_is_not_the_signed_one() {
    for seed in SEEDS {
        let mut files = Files::read(&build(seed).storage);
        let scopes = scopes();
        let scope = &scopes[Random::new(seed).below(scopes.len())];
        let stream = files.stream(scope);
        files.lines[*stream.last().unwrap()].replace("chat.send_message", "chat.list_message");
        let report = check(files.write());
        assert_only(&report, &[Verdict::HeadMismatch], &format!("seed {seed}"));
        assert_eq!(report.findings[0].seq, Some(stream.len() as u64));
    }
}

#[test]
fn a_modified_attempt_is_an_altered_range() {
    for seed in SEEDS {
        let mut files = Files::read(&build(seed).storage);
        let attempt = files.lines.iter_mut().find(|line| line.event().is_none()).unwrap();
        attempt.replace("kill_switch.update", "kill_switch.vpdate");
        assert_only(&check(files.write()), &[Verdict::AlteredRange], &format!("seed {seed}"));
    }
}

#[test]
fn a_deleted_line_is_missing() {
    for seed in SEEDS {
        let mut files = Files::read(&build(seed).storage);
        let (scope, stream, at) = inner(&files, &mut Random::new(seed));
        files.lines.remove(stream[at]);
        let report = check(files.write());
        // The log is shorter by a line as well.
        assert_found(&report, &[Verdict::MissingEvents], &format!("seed {seed}"));
        let finding = report.findings.iter().find(|found| found.verdict == Verdict::MissingEvents).unwrap();
        assert_eq!((finding.scope.as_ref(), finding.seq), (Some(&scope), Some(at as u64 + 1)));
        assert_eq!(finding.last_seq, None);
    }
}

#[test]
fn a_deleted_attempt_is_an_altered_range_or_a_shorter_log() {
    for seed in SEEDS {
        let mut files = Files::read(&build(seed).storage);
        let at = files.lines.iter().position(|line| line.event().is_none()).unwrap();
        files.lines.remove(at);
        let verdicts = [Verdict::AlteredRange, Verdict::LogShorter];
        assert_only(&check(files.write()), &verdicts, &format!("seed {seed}"));
    }
}

#[test]
fn an_inserted_copy_is_inserted() {
    for seed in SEEDS {
        let mut files = Files::read(&build(seed).storage);
        let mut random = Random::new(seed);
        let (scope, stream, at) = inner(&files, &mut random);
        let place = random.below(files.lines.len());
        let copied = files.lines[stream[at]].clone();
        let is_before = place <= stream[at];
        let segment = files.lines[place].segment;
        files.lines.insert(place, super::tampering::Line { segment, ..copied });
        let report = check(files.write());
        // A copy that stands before the original is a line moved up, until the original is met.
        let verdicts: &[_] = match is_before {
            true => &[Verdict::InsertedLine, Verdict::ReorderedLine],
            false => &[Verdict::InsertedLine],
        };
        assert_found(&report, verdicts, &format!("seed {seed}"));
        assert!(report.findings.iter().any(|finding| finding.scope.as_ref() == Some(&scope)), "{report}");
    }
}

#[test]
fn a_forged_line_that_continues_the_chain_is_inserted() {
    for seed in SEEDS {
        let mut files = Files::read(&build(seed).storage);
        let (scope, stream, at) = inner(&files, &mut Random::new(seed));
        // Chained to the line before like the original, and standing before it.
        let mut forged = files.lines[stream[at]].clone();
        forged.replace("chat.send_message", "chat.send_money");
        files.lines.insert(stream[at], forged);
        let report = check(files.write());
        assert_found(&report, &[Verdict::InsertedLine], &format!("seed {seed}"));
        let inserted = report.findings.iter().find(|found| found.verdict == Verdict::InsertedLine).unwrap();
        assert_eq!((inserted.scope.as_ref(), inserted.seq), (Some(&scope), Some(at as u64 + 1)));
        assert!(!report.findings.iter().any(|found| found.verdict == Verdict::AlteredLine), "{report}");
    }
}

#[test]
fn swapped_lines_of_a_stream_are_reordered() {
    for seed in SEEDS {
        let mut files = Files::read(&build(seed).storage);
        let mut random = Random::new(seed);
        let (scope, stream, at) = inner(&files, &mut random);
        let other = 1 + random.below(stream.len() - 2);
        let other = if other == at { at + 1 } else { other };
        let (a, b) = (stream[at], stream[other]);
        let bytes = std::mem::take(&mut files.lines[a].bytes);
        files.lines[a].bytes = std::mem::replace(&mut files.lines[b].bytes, bytes);
        let report = check(files.write());
        assert_found(&report, &[Verdict::ReorderedLine], &format!("seed {seed}, {at} and {other}"));
        let is_missing = report
            .findings
            .iter()
            .any(|found| found.scope.as_ref() == Some(&scope) && found.verdict == Verdict::MissingEvents);
        assert!(!is_missing, "seed {seed}, {at} and {other}: nothing is missing: {report}");
    }
}

#[test]
fn swapped_lines_of_two_streams_are_an_altered_range() {
    for seed in SEEDS {
        let mut files = Files::read(&build(seed).storage);
        let differ = |at: &usize| {
            let (a, b) = (&files.lines[*at], &files.lines[at + 1]);
            let (Some((a_scope, _)), Some((b_scope, _))) = (a.event(), b.event()) else { return false };
            a.segment == b.segment && a_scope != b_scope
        };
        let places: Vec<usize> = (0..files.lines.len() - 1).filter(differ).collect();
        let at = places[Random::new(seed).below(places.len())];
        files.lines.swap(at, at + 1);
        let report = check(files.write());
        // At the very end of a range the lines change sides, and heads show it instead.
        let verdicts = [Verdict::AlteredRange, Verdict::InsertedLine, Verdict::HeadMismatch];
        assert_found(&report, &verdicts, &format!("seed {seed}"));
    }
}

#[test]
fn a_cut_tail_is_a_shorter_log() {
    for seed in SEEDS {
        let mut files = Files::read(&build(seed).storage);
        let keep = files.lines.len() - 1 - Random::new(seed).below(files.lines.len() / 2);
        files.lines.truncate(keep);
        assert_found(&check(files.write()), &[Verdict::LogShorter], &format!("seed {seed}, {keep} kept"));
    }
}

#[test]
fn a_tail_cut_and_written_anew_is_not_the_signed_history() {
    for seed in SEEDS {
        let mut files = Files::read(&build(seed).storage);
        let keep = files.lines.len() / 2 + Random::new(seed).below(files.lines.len() / 2);
        for line in &mut files.lines[keep..] {
            if line.event().is_some() {
                line.replace("chat.send_message", "chat.list_message");
            }
        }
        files.chain_anew();
        let report = check(files.write());
        assert_found(&report, &[Verdict::HeadMismatch, Verdict::AlteredRange], &format!("seed {seed}"));
        assert!(!report.findings.iter().any(|found| found.verdict == Verdict::AlteredLine), "{report}");
    }
}

#[test]
fn a_whole_rewrite_without_the_key_is_not_the_signed_history() {
    for seed in SEEDS {
        let mut files = Files::read(&build(seed).storage);
        let (scope, stream, at) = inner(&files, &mut Random::new(seed));
        files.lines[stream[at]].replace("chat.send_message", "chat.list_message");
        files.chain_anew();
        let report = check(files.write());
        assert_only(&report, &[Verdict::HeadMismatch], &format!("seed {seed}"));
        assert_eq!(report.findings.len(), 1, "{report}");
        assert_eq!(report.findings[0].scope.as_ref(), Some(&scope));
        assert!(report.findings[0].seq >= Some(at as u64 + 1));
    }
}

#[test]
fn a_rollback_of_the_directory_shows_against_a_head_from_outside() {
    for seed in SEEDS {
        let mut ledger = build(seed);
        let snapshot = ledger.copy();
        ledger.reopen();
        let scopes = scopes();
        let scope = &scopes[Random::new(seed).below(scopes.len())];
        ledger.event(scope);
        ledger.close();
        assert!(check(&snapshot).is_verified(), "only something from outside can tell");
        let head = ledger.heads.all().into_iter().find(|head| head.scope == *scope).unwrap();
        let report = verify_storage(&snapshot, &VerifyOptions::new().expect_head(head)).unwrap();
        assert_only(&report, &[Verdict::HeadOlder], &format!("seed {seed}"));
        let newest = check(&ledger.storage).protected.unwrap().checkpoint;
        let report = verify_storage(&snapshot, &VerifyOptions::new().expect_checkpoint(newest)).unwrap();
        assert_only(&report, &[Verdict::HeadOlder], &format!("seed {seed}"));
    }
}

#[test]
fn a_dropped_tenant_is_a_deleted_stream() {
    for seed in SEEDS {
        let mut files = Files::read(&build(seed).storage);
        let victim = scope("globex", ["prod", "staging"][Random::new(seed).below(2)]);
        files.lines.retain(|line| !line.is_of(&victim));
        let report = check(files.write());
        assert_found(&report, &[Verdict::StreamDeleted], &format!("seed {seed}"));
        let found = report.findings.iter().find(|found| found.verdict == Verdict::StreamDeleted).unwrap();
        assert_eq!(found.scope.as_ref(), Some(&victim));
    }
}

#[test]
fn a_new_stream_in_signed_bytes_is_forged() {
    for seed in SEEDS {
        let mut files = Files::read(&build(seed).storage);
        let stream = files.stream(&scope("acme", "prod"));
        let mut line = files.lines[stream[0]].clone();
        line.replace("\"tenant_id\":\"acme\"", "\"tenant_id\":\"hooli\"");
        let place = Random::new(seed).below(files.lines.len());
        line.segment = files.lines[place].segment;
        files.lines.insert(place, line);
        files.chain_anew();
        let report = check(files.write());
        assert_found(&report, &[Verdict::StreamForged], &format!("seed {seed}"));
        let found = report.findings.iter().find(|found| found.verdict == Verdict::StreamForged).unwrap();
        assert_eq!(found.scope.as_ref(), Some(&scope("hooli", "prod")));
    }
}

#[test]
fn dropped_checkpoints_are_missing() {
    for seed in SEEDS {
        let mut files = Files::read(&build(seed).storage);
        let count = files.checkpoints.len();
        let mut random = Random::new(seed);
        let first = random.below(count - 1);
        let dropped = 1 + random.below((count - 1 - first).min(3));
        files.checkpoints.drain(first..first + dropped);
        let report = check(files.write());
        assert_only(&report, &[Verdict::CheckpointMissing], &format!("seed {seed}"));
        assert_eq!(report.findings.len(), 1, "{report}");
        assert_eq!(report.findings[0].checkpoint, Some(first as u64 + 1));
    }
}

#[test]
fn dropping_all_checkpoints_or_those_of_an_epoch_shows() {
    for seed in SEEDS {
        let mut files = Files::read(&build(seed).storage);
        let all = std::mem::take(&mut files.checkpoints);
        assert_found(&check(files.write()), &[Verdict::CheckpointMissing], &format!("seed {seed}"));
        let is_later = |line: &Vec<u8>| String::from_utf8_lossy(line).contains("\"epoch\":2");
        files.checkpoints = all.into_iter().filter(|line| !is_later(line)).collect();
        assert_found(&check(files.write()), &[Verdict::CheckpointMissing], &format!("seed {seed}"));
    }
}

#[test]
fn dropping_the_newest_checkpoints_shows_against_one_from_outside() {
    for seed in SEEDS {
        let ledger = build(seed);
        let newest = check(&ledger.storage).protected.unwrap().checkpoint;
        let mut files = Files::read(&ledger.storage);
        files.checkpoints.pop();
        let report = check(files.write());
        assert!(report.unprotected.events + report.unprotected.attempts > 0, "the tail tells: {report}");
        let report = verify_storage(files.write(), &VerifyOptions::new().expect_checkpoint(newest)).unwrap();
        assert_found(&report, &[Verdict::HeadOlder], &format!("seed {seed}"));
    }
}

#[test]
fn a_modified_checkpoint_is_altered() {
    for seed in SEEDS {
        let mut files = Files::read(&build(seed).storage);
        let at = Random::new(seed).below(files.checkpoints.len());
        let text = String::from_utf8(files.checkpoints[at].clone()).unwrap();
        files.checkpoints[at] = text.replacen("\"surfaces\":\"07", "\"surfaces\":\"08", 1).into_bytes();
        let is_newest = at + 1 == files.checkpoints.len();
        let verdict = if is_newest { Verdict::SignatureInvalid } else { Verdict::CheckpointAltered };
        let report = check(files.write());
        assert_only(&report, &[verdict], &format!("seed {seed}, checkpoint {}", at + 1));
        assert_eq!(report.findings.len(), 1, "{report}");
        assert_eq!(report.findings[0].checkpoint, Some(at as u64 + 1));
    }
}

/// The same events, checkpoints made anew with another key.
fn with_other_key(seed: u64) -> TestLedger {
    let mut ledger = TestLedger::with_id(TestLedger::id(), Ed25519Signer::from_seed([seed as u8; 32]));
    let mut random = Random::new(seed);
    let scopes = scopes();
    for _ in 0..60 {
        ledger.event(&scopes[random.below(scopes.len())]);
    }
    ledger.close();
    ledger
}

#[test]
fn a_swapped_key_is_unknown() {
    for seed in SEEDS {
        let honest = Ed25519Signer::fixed_for_tests();
        let forged = with_other_key(seed);
        // With its own ledger.json the forgery is whole; only a key from outside tells.
        assert!(check(&forged.storage).is_verified());
        let options = VerifyOptions::new().trust_key(public_key(&honest));
        let report = verify_storage(&forged.storage, &options).unwrap();
        assert_found(&report, &[Verdict::UnknownKey], &format!("seed {seed}"));
        assert_eq!(report.protected, None);
        // With the ledger.json of the honest ledger it is nobody's.
        let storage = copy(&forged.storage);
        let mut identity = LedgerIdentity::new(TestLedger::id(), 0);
        identity.add_key(&honest);
        storage.replace(IDENTITY_NAME, &identity.encode().unwrap()).unwrap();
        assert_found(&check(&storage), &[Verdict::UnknownKey], &format!("seed {seed}"));
        // Under the honest key's name the signatures do not fit.
        identity.keys[0].key_id = {
            let mut other = LedgerIdentity::new(TestLedger::id(), 0);
            other.add_key(&forged.signer);
            other.keys[0].key_id.clone()
        };
        storage.replace(IDENTITY_NAME, &identity.encode().unwrap()).unwrap();
        assert_only(&check(&storage), &[Verdict::SignatureInvalid], &format!("seed {seed}"));
    }
}

#[test]
fn a_split_view_shows_against_a_head_from_outside() {
    for seed in SEEDS {
        let shown = |turn: &str| -> MemoryStorage {
            let mut ledger = build_open(seed);
            ledger.event(&scope("acme", turn));
            ledger.event(&scope("acme", "prod"));
            ledger.close();
            ledger.storage
        };
        let (one, other) = (shown("prod"), shown("staging"));
        let view =
            |storage| verify_storage(storage, &VerifyOptions::new().scope(scope("acme", "prod"))).unwrap();
        let (a, b) = (view(&one), view(&other));
        assert!(a.is_verified() && b.is_verified(), "each holds by itself");
        let noted = b.head.unwrap();
        let report = verify_storage(&one, &VerifyOptions::new().expect_head(noted)).unwrap();
        assert_only(&report, &[Verdict::HeadMismatch], &format!("seed {seed}"));
        let report =
            verify_storage(&one, &VerifyOptions::new().expect_checkpoint(b.protected.unwrap().checkpoint));
        assert_only(&report.unwrap(), &[Verdict::HeadMismatch], &format!("seed {seed}"));
    }
}

#[test]
fn a_line_of_another_ledger_is_foreign() {
    for seed in SEEDS {
        let mut files = Files::read(&build(seed).storage);
        let (_, stream, at) = inner(&files, &mut Random::new(seed));
        files.lines[stream[at]].replace("-8000-000000000001", "-8000-000000000002");
        assert_found(&check(files.write()), &[Verdict::ForeignLine], &format!("seed {seed}"));
    }
}

#[test]
fn a_missing_segment_is_named() {
    for segment in 1..=2 {
        let storage = build(9).copy();
        storage.remove(&crate::log::segment_name(segment)).unwrap();
        assert_found(&check(&storage), &[Verdict::SegmentMissing], &format!("segment {segment}"));
    }
    let storage = build(9).copy();
    storage.replace(&crate::log::segment_name(u32::MAX), b"").unwrap();
    let report = check(&storage);
    assert_found(&report, &[Verdict::SegmentMissing], "a segment far ahead");
    assert!(report.findings.len() < 5, "{report}");
    let storage = build(9).copy();
    storage.replace("log/000000001.ndjson", b"a file of another name is no segment").unwrap();
    assert!(check(&storage).is_verified());
    storage.remove(&crate::log::segment_name(3)).unwrap();
    assert_found(&check(&storage), &[Verdict::LogShorter], "segment 3");
}

#[test]
fn altered_and_deleted_head_tables_are_named() {
    for segment in 1..=3 {
        let storage = build(10).copy();
        let name = head_table_name(segment);
        let text = String::from_utf8(storage.read(&name).unwrap().unwrap()).unwrap();
        storage.replace(&name, text.replacen("\"recorded_at\":", "\"recorded_at\":1", 1).as_bytes()).unwrap();
        assert_only(&check(&storage), &[Verdict::HeadTableMismatch], &name);
        storage.replace(&name, b"not a table").unwrap();
        assert_only(&check(&storage), &[Verdict::HeadTableMismatch], &name);
        storage.remove(&name).unwrap();
        assert_only(&check(&storage), &[Verdict::HeadTableMismatch], &name);
    }
}

#[test]
fn what_is_found_in_another_scope_is_counted_not_shown() {
    let mut files = Files::read(&build(11).storage);
    let stream = files.stream(&scope("acme", "prod"));
    files.lines[stream[1]].replace("chat.send_message", "chat.list_message");
    let storage = files.write();
    let view = |scope| verify_storage(storage, &VerifyOptions::new().scope(scope)).unwrap();
    let report = view(scope("acme", "prod"));
    assert_only(&report, &[Verdict::AlteredLine], "the scope itself");
    let report = view(scope("globex", "prod"));
    assert!(report.is_verified(), "{report}");
    assert_eq!(report.findings_elsewhere, 1);
    assert!(!report.to_string().contains("acme"), "{report}");
}

#[test]
fn findings_are_bounded_and_the_rest_is_counted() {
    let mut ledger = TestLedger::new();
    let acme = scope("acme", "prod");
    for _ in 0..300 {
        ledger.event(&acme);
    }
    ledger.close();
    let mut files = Files::read(&ledger.storage);
    for line in &mut files.lines {
        line.replace("chat.send_message", "chat.list_message");
    }
    let report = check(files.write());
    assert_eq!((report.findings.len(), report.findings_left_out), (100, 200), "{report}");
}
