//! Verification of ledgers that the library wrote itself: quiet, in use, reopened, and tampered with.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use dataset_events::testing::TestLedger;
use dataset_events::{
    Ed25519Signer, Env, Ledger, RequestContext, Scope, Signer, TenantId, Verdict, VerifyError, VerifyOptions,
    VerifyReport, dataset_event, verify,
};

#[dataset_event(surface = "chat.send_message", input(body_len))]
fn send(ctx: &RequestContext, body_len: u64) -> u64 {
    body_len + 1
}

fn scope(tenant: &'static str) -> Scope {
    Scope::new(TenantId::from_static(tenant), Env::from_static("prod"))
}

fn record(ledger: &Ledger, tenant: &str, calls: u64) {
    let ctx = ledger.context(tenant, "prod").build().expect("valid ids");
    for body_len in 0..calls {
        send(&ctx, body_len);
    }
}

fn open(root: &Path) -> Ledger {
    let signer = Ed25519Signer::fixed_for_tests();
    let options = Ledger::options().root(root).service("chat", "1.0.0").segment_bytes(64 * 1024);
    options.journal_bytes(1 << 20).signer(signer).open().expect("open the ledger")
}

fn verified(path: &Path) -> VerifyReport {
    let report = verify(path, &VerifyOptions::new()).expect("readable");
    assert!(report.is_verified(), "{report}");
    report
}

/// A closed ledger of several segments and two epochs.
fn written(root: &Path) -> PathBuf {
    let mut path = PathBuf::new();
    for _ in 0..2 {
        let ledger = open(root);
        for round in 0..20 {
            for tenant in ["acme", "globex", "initech"] {
                record(&ledger, tenant, 5 + round % 3);
            }
            ledger.flush().expect("flush");
        }
        path = ledger.path().expect("on disk").to_owned();
        ledger.close().expect("close");
    }
    path
}

#[test]
fn a_closed_ledger_is_covered_to_its_last_byte() {
    let root = tempfile::tempdir().expect("temporary directory");
    let path = written(root.path());
    let report = verified(&path);
    assert!(report.streams >= 3, "{report}");
    assert!(report.events >= 600, "{report}");
    assert_eq!(report.unprotected, Default::default(), "{report}");
    let segments = fs::read_dir(path.join("log")).expect("log folder");
    let count = segments.filter(|entry| {
        entry.as_ref().is_ok_and(|entry| entry.path().extension().is_some_and(|end| end == "ndjson"))
    });
    assert!(count.count() > 2, "the log has several segments");
}

#[test]
fn a_ledger_is_verified_while_it_is_written() {
    let root = tempfile::tempdir().expect("temporary directory");
    let ledger = open(root.path());
    let path = ledger.path().expect("on disk").to_owned();
    let is_over = AtomicBool::new(false);
    let mut seen = 0;
    thread::scope(|threads| {
        for tenant in ["acme", "globex"] {
            let (ledger, is_over) = (ledger.clone(), &is_over);
            threads.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    record(&ledger, tenant, 50);
                }
            });
        }
        while seen < 40_000 {
            let report = verify(&path, &VerifyOptions::new()).expect("readable");
            if !report.is_verified() {
                is_over.store(true, Ordering::Relaxed);
                panic!("{report}");
            }
            assert!(report.events >= seen, "the log only grows");
            seen = report.events;
        }
        is_over.store(true, Ordering::Relaxed);
    });
    ledger.close().expect("close");
    verified(&path);
}

#[test]
fn an_open_ledger_verifies_itself_and_one_scope_of_it() {
    let test = TestLedger::new();
    record(test.ledger(), "acme", 10);
    record(test.ledger(), "globex", 7);
    test.flush();
    let report = test.ledger().verify().expect("readable");
    assert!(report.is_verified(), "{report}");
    assert!(report.unprotected.events >= 17, "{report}");
    let globex = scope("globex");
    let reader = test.ledger().scope(globex.tenant_id(), globex.env());
    let report = reader.verify().expect("readable");
    assert_eq!((report.is_verified(), report.events, report.streams), (true, 7, 1), "{report}");
    let head = report.head.expect("the stream has a head");
    assert_eq!(reader.head().expect("readable"), Some(head.clone()));
    let later = VerifyOptions::new().expect_head(head);
    record(test.ledger(), "globex", 3);
    test.flush();
    let report = test.ledger().verify_with(&later).expect("readable");
    assert!(report.is_verified(), "{report}");
}

/// Changes bytes of a file; `from` must be there.
fn edit(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).expect("readable");
    assert!(text.contains(from), "{from} is not in {}", path.display());
    fs::write(path, text.replacen(from, to, 1)).expect("writable");
}

#[test]
fn tampering_with_the_files_shows() {
    let root = tempfile::tempdir().expect("temporary directory");
    let path = written(root.path());
    let log = path.join("log/00000001.ndjson");
    let honest = fs::read(&log).expect("readable");
    let verdicts = |path: &Path| {
        let report = verify(path, &VerifyOptions::new()).expect("readable");
        assert!(!report.is_verified(), "{report}");
        report.findings.iter().map(|finding| finding.verdict).collect::<Vec<_>>()
    };

    edit(&log, "\"input\":{\"body_len\":3}", "\"input\":{\"body_len\":4}");
    assert_eq!(verdicts(&path), [Verdict::AlteredLine]);

    let text = String::from_utf8(honest.clone()).expect("text");
    let mut lines: Vec<&str> = text.lines().collect();
    lines.remove(20);
    fs::write(&log, lines.join("\n") + "\n").expect("writable");
    assert!(verdicts(&path).contains(&Verdict::MissingEvents));

    fs::write(&log, &honest).expect("writable");
    edit(&path.join("checkpoints.ndjson"), "\"number\":2,", "\"number\":3,");
    assert_eq!(verdicts(&path), [Verdict::CheckpointAltered]);
    edit(&path.join("checkpoints.ndjson"), "\"number\":3,", "\"number\":2,");
    verified(&path);

    let other = Ed25519Signer::from_seed([9; 32]);
    let options = VerifyOptions::new().trust_key(other.public_key());
    let report = verify(&path, &options).expect("readable");
    assert!(report.findings.iter().any(|finding| finding.verdict == Verdict::UnknownKey), "{report}");
    let options = VerifyOptions::new().trust_key(Ed25519Signer::fixed_for_tests().public_key());
    let report = verify(&path, &options).expect("readable");
    assert!(report.is_verified(), "{report}");
}

#[test]
fn a_directory_put_back_to_an_earlier_state_shows_against_a_noted_head() {
    let root = tempfile::tempdir().expect("temporary directory");
    let ledger = open(root.path());
    record(&ledger, "acme", 5);
    let path = ledger.path().expect("on disk").to_owned();
    ledger.close().expect("close");
    let keep = |name: &str| (path.join(name), fs::read(path.join(name)).expect("readable"));
    let snapshot = ["log/00000001.ndjson", "log/00000001.heads.json", "checkpoints.ndjson"].map(keep);
    let ledger = open(root.path());
    assert_eq!(ledger.path(), Some(path.as_path()), "the same ledger goes on");
    record(&ledger, "acme", 5);
    ledger.close().expect("close");
    let noted = verify(&path, &VerifyOptions::new().scope(scope("acme"))).expect("readable").head;
    let noted = noted.expect("the stream has a head");
    for (path, bytes) in snapshot {
        fs::write(path, bytes).expect("writable");
    }
    verified(&path);
    let report = verify(&path, &VerifyOptions::new().expect_head(noted)).expect("readable");
    let found: Vec<_> = report.findings.iter().map(|finding| finding.verdict).collect();
    assert_eq!(found, [Verdict::HeadOlder], "{report}");
}

#[test]
fn what_is_no_ledger_is_an_error_that_says_what_to_name() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let error = verify(folder.path(), &VerifyOptions::new()).expect_err("no ledger");
    assert!(matches!(error, VerifyError::NotALedger { .. }));
    assert!(error.to_string().contains("<root>/<ledger id>"), "{error}");
}

/// The ledger that `docs/formats.md` explains, written by an early version and kept: later ones read it.
#[test]
fn the_example_of_the_format_page_is_verified_and_quoted_as_it_is() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("in the repository").join("docs");
    let ledger = docs.join("example-ledger");
    let report = verified(&ledger);
    assert_eq!((report.events, report.attempts, report.streams, report.checkpoints), (5, 1, 3, 2));
    assert_eq!(report.unprotected, Default::default());
    let page = fs::read_to_string(docs.join("formats.md")).expect("readable");
    for name in ["ledger.json", "log/00000001.ndjson", "log/00000001.heads.json", "checkpoints.ndjson"] {
        for line in fs::read_to_string(ledger.join(name)).expect("readable").lines() {
            assert!(page.contains(&format!("\n{line}\n")), "docs/formats.md does not quote {line} of {name}");
        }
    }
    let newest = report.protected.expect("protected").checkpoint;
    assert!(page.contains(&newest.to_string()), "docs/formats.md does not say {newest}");
}
