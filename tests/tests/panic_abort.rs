//! With `panic = "abort"` no guard is dropped: the panic hook records the open calls first.

use std::process::Command;

use dataset_events::{DatasetEvent, Ledger, Outcome};

/// Builds the program with the workspace's profile `abort`, into a directory of its own.
fn build() -> std::path::PathBuf {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let target = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("abort");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--profile", "abort", "--bin", "abort", "--manifest-path", manifest])
        .arg("--target-dir")
        .arg(&target)
        // The flags of this run (coverage, sanitizers) are not those of the program under test.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .status()
        .expect("start cargo");
    assert!(status.success(), "cargo build --profile abort failed: {status}");
    target.join("abort").join(format!("abort{}", std::env::consts::EXE_SUFFIX))
}

#[test]
fn an_aborting_panic_leaves_its_events() {
    let program = build();
    let root = tempfile::tempdir().unwrap();
    let output = Command::new(&program).arg(root.path()).output().expect("start the program");
    assert!(!output.status.success());
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt as _;
        const SIGABRT: i32 = 6;
        assert_eq!(output.status.signal(), Some(SIGABRT), "{output:?}");
    }
    assert!(String::from_utf8_lossy(&output.stderr).contains("planned"), "the hook before ours still runs");

    let ledger = Ledger::open(root.path()).unwrap();
    ledger.flush().unwrap();
    let tenant = "acme".parse().unwrap();
    let events: Vec<_> = ledger
        .scope(&tenant, &"prod".parse().unwrap())
        .events()
        .surface("abort.*")
        .oldest_first()
        .iter()
        .map(|stored| stored.unwrap().event)
        .collect();
    let ends: Vec<(&str, Outcome)> =
        events.iter().map(|event| (event.surface.as_str(), event.outcome)).collect();
    assert_eq!(
        ends,
        [("abort.inner", Outcome::Ok), ("abort.inner", Outcome::Panic), ("abort.outer", Outcome::Panic)]
    );
    let outer: &DatasetEvent = &events[2];
    assert_eq!(events[1].parent_span_id, Some(outer.span_id));
    assert_eq!(outer.output_value(), serde_json::json!({"reached": true}));
}
