//! Ledgers that nobody touched are verified, in every state in which a writer can leave them.

use super::ledger::{TestLedger, build, build_open, check, public_key, scopes};
use crate::ids::Scope;
use crate::log::checkpoint::{CHECKPOINTS_NAME, CheckpointReason};
use crate::log::heads::StreamHead;
use crate::log::heads::tests::scope;
use crate::log::storage::{MemoryStorage, Storage};
use crate::log::verify::{VerifyError, VerifyOptions, verify_storage};
use crate::log::{LogPosition, segment_name};

#[test]
fn a_closed_ledger_is_protected_to_its_end() {
    for seed in 1..=5 {
        let ledger = build(seed);
        let report = check(&ledger.storage);
        assert!(report.is_verified(), "seed {seed}: {report}");
        let protected = report.protected.as_ref().unwrap();
        assert_eq!(protected.position, LogPosition { segment: 3, offset: ledger.end() });
        assert_eq!(report.unprotected, Default::default());
        assert_eq!(report.streams, 7);
        assert_eq!(report.events + report.attempts, 120);
    }
}

#[test]
fn an_open_ledger_has_an_unprotected_tail() {
    let ledger = build_open(3);
    let report = check(&ledger.storage);
    assert!(report.is_verified(), "{report}");
    assert_eq!(report.unprotected.events + report.unprotected.attempts, 13);
    assert!(report.unprotected.bytes > 5000);
    assert_eq!(report.cannot_tell().len(), 3);
}

#[test]
fn a_new_ledger_is_verified() {
    let report = check(&TestLedger::new().storage);
    assert!(report.is_verified(), "{report}");
    assert_eq!((report.events, report.checkpoints), (0, 1));
}

#[test]
fn a_directory_without_identity_is_no_ledger() {
    let error = verify_storage(&MemoryStorage::default(), &VerifyOptions::new()).unwrap_err();
    assert!(matches!(error, VerifyError::NotALedger { .. }), "{error}");
}

#[test]
fn unfinished_writes_are_no_findings() {
    let ledger = build_open(4);
    for (name, bytes) in [(segment_name(3), "{\"schema"), (CHECKPOINTS_NAME.to_owned(), "{\"sche")] {
        let file = ledger.storage.open(&name, false).unwrap();
        file.write_all_at(file.len().unwrap(), bytes.as_bytes()).unwrap();
    }
    let report = check(&ledger.storage);
    assert!(report.is_verified(), "{report}");
    assert_eq!(report.unprotected.unfinished_bytes, 8);
    assert_eq!(report.unprotected.unfinished_checkpoint_bytes, 6);
}

#[test]
fn a_head_table_whose_checkpoint_was_not_written_is_no_finding() {
    let mut ledger = build(5);
    ledger.reopen();
    ledger.event(&scope("acme", "prod"));
    ledger.head_table();
    let report = check(&ledger.storage);
    assert!(report.is_verified(), "{report}");
}

#[test]
fn one_scope_is_reported_without_the_others() {
    let ledger = build(6);
    let whole = check(&ledger.storage);
    let (mut events, mut bytes) = (0, 0);
    for scope in scopes() {
        let report = verify_storage(&ledger.storage, &VerifyOptions::new().scope(scope.clone())).unwrap();
        assert!(report.is_verified(), "{report}");
        assert_eq!(report.streams, 1);
        let head = report.head.as_ref().unwrap();
        assert_eq!((&head.scope, head.seq), (&scope, report.events));
        events += report.events;
        bytes += report.bytes;
    }
    assert_eq!((events, bytes), (whole.events, whole.bytes));
    let unknown = VerifyOptions::new().scope(scope("nobody", "prod"));
    let report = verify_storage(&ledger.storage, &unknown).unwrap();
    assert_eq!((report.is_verified(), report.events, report.streams, report.head), (true, 0, 0, None));
}

#[test]
fn heads_from_outside_are_found_wherever_they_stand() {
    let mut ledger = build_open(7);
    let noted: Vec<StreamHead> = ledger.heads.all();
    let checkpoint = check(&ledger.storage).protected.unwrap().checkpoint;
    for scope in scopes() {
        ledger.event(&scope);
    }
    ledger.close();
    let mut options = VerifyOptions::new().expect_checkpoint(checkpoint);
    for head in noted {
        options = options.expect_head(head);
    }
    options = options.trust_key(public_key(&ledger.signer));
    let report = verify_storage(&ledger.storage, &options).unwrap();
    assert!(report.is_verified(), "{report}");
    assert_eq!(report.expected, 8);
    assert!(report.cannot_tell().is_empty());
}

#[test]
fn an_accepted_loss_is_told_and_is_no_finding() {
    let mut ledger = TestLedger::new();
    let acme = scope("acme", "prod");
    for _ in 0..5 {
        ledger.event(&acme);
    }
    ledger.checkpoint(CheckpointReason::Interval);
    let (kept, end) = (ledger.heads.clone(), ledger.end());
    for scope in [&acme, &Scope::system()] {
        ledger.event(scope);
    }
    ledger.checkpoint(CheckpointReason::Interval);
    ledger.accept_loss(kept, end);
    ledger.event(&acme);
    ledger.close();
    let report = check(&ledger.storage);
    assert!(report.is_verified(), "{report}");
    assert_eq!(report.accepted_losses, [4]);
    assert_eq!((report.events, report.streams), (6, 1));
}

#[test]
fn a_report_is_read_by_people_and_programs() {
    let report = check(&build(8).storage);
    let text = report.to_string();
    assert!(text.starts_with("verified: ledger 0190b5a0-0000-7000-8000-000000000001\n"), "{text}");
    assert!(text.contains("protected: up to log/00000003.ndjson at byte "), "{text}");
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["verified"], true);
    assert_eq!(json["protected"]["number"], report.checkpoints);
}
