//! `docs/verify.sh` verifies one stream with `sha256sum` and `jq` alone, and agrees with the library.
//!
//! Needs `jq` on the path: `cargo test -p dataset-events-tests --features jq --test verify_script`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use dataset_events::{
    Ed25519Signer, Env, Ledger, RequestContext, Scope, TenantId, VerifyOptions, dataset_event, verify,
};

#[dataset_event(surface = "chat.send_message", input(body))]
fn send(ctx: &RequestContext, body: &str) -> usize {
    body.len()
}

/// Texts that a shell could read otherwise than they are stored.
const BODIES: [&str; 6] = [
    "plain",
    "back\\slash \\n",
    "two\nlines\tand a tab",
    "  spaces  ",
    "'quotes\" $(id) `id` *",
    "ümläut 🦀",
];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the repository").to_owned()
}

fn script(ledger: &Path, arguments: &[&str]) -> Output {
    let is_there = |tool: &str| Command::new(tool).arg("--version").output().is_ok();
    for tool in ["bash", "jq", "sha256sum"] {
        assert!(is_there(tool), "{tool} is not on the path; install it, e.g. `apt-get install jq coreutils`");
    }
    let script = repository().join("docs/verify.sh");
    Command::new("bash").arg(script).arg(ledger).args(arguments).output().expect("bash runs")
}

#[track_caller]
fn assert_verified(ledger: &Path, arguments: &[&str]) -> String {
    let output = script(ledger, arguments);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), errors.as_ref()), (Some(0), ""), "{text}");
    assert!(text.starts_with("verified: "), "{text}");
    text
}

#[track_caller]
fn assert_refused(ledger: &Path, arguments: &[&str], reason: &str) {
    let output = script(ledger, arguments);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.starts_with("NOT VERIFIED: ") && text.contains(reason), "{reason} is not in {text}");
}

/// A closed ledger of two segments: 6 and more events in each of two streams, interleaved.
fn written(root: &Path) -> PathBuf {
    let options = Ledger::options().root(root).journal_bytes(1 << 20).segment_bytes(64 * 1024);
    let ledger = options.signer(Ed25519Signer::fixed_for_tests()).open().expect("open the ledger");
    for round in 0..13 {
        for tenant in ["acme", "globex"] {
            let ctx = ledger.context(tenant, "prod").build().expect("valid ids");
            for body in BODIES {
                send(&ctx, body);
            }
        }
        if round % 4 == 0 {
            ledger.flush().expect("flush");
        }
    }
    let path = ledger.path().expect("on disk").to_owned();
    ledger.close().expect("close");
    assert!(path.join("log/00000002.ndjson").exists(), "the log has two segments");
    path
}

fn lines_of(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).expect("readable");
    text.lines().map(str::to_owned).collect()
}

fn write_lines(path: &Path, lines: &[String]) {
    fs::write(path, lines.join("\n") + "\n").expect("writable");
}

/// The places of a tenant's events.
fn events_of(lines: &[String], tenant: &str) -> Vec<usize> {
    let needle = format!("\"tenant_id\":\"{tenant}\"");
    (0..lines.len()).filter(|at| lines[*at].contains(&needle)).collect()
}

#[test]
fn an_honest_stream_is_verified_and_has_the_head_that_the_library_reports() {
    let root = tempfile::tempdir().expect("temporary directory");
    let ledger = written(root.path());
    for (tenant, env) in [("acme", "prod"), ("globex", "prod")] {
        let text = assert_verified(&ledger, &[tenant, env]);
        let scope = Scope::new(TenantId::new(tenant).expect("valid"), Env::new(env).expect("valid"));
        let report = verify(&ledger, &VerifyOptions::new().scope(scope)).expect("readable");
        let head = report.head.expect("the stream has a head").to_string();
        assert!(text.contains("78 events") && text.contains(&format!("head: {head}\n")), "{text}");
        assert_verified(&ledger, &[tenant, env, &head]);
    }
    assert!(assert_verified(&ledger, &["$system", "$system"]).contains("head: $system/$system:"));
    assert!(assert_verified(&ledger, &["nobody", "prod"]).contains(": 0 events"));
}

#[test]
fn a_tampered_stream_is_refused_with_the_reason() {
    let root = tempfile::tempdir().expect("temporary directory");
    let ledger = written(root.path());
    let log = ledger.join("log/00000001.ndjson");
    let honest = lines_of(&log);
    let acme = events_of(&honest, "acme");
    let scope = &["acme", "prod"];
    let attempt = |change: &dyn Fn(&mut Vec<String>), reason: &str| {
        let mut lines = honest.clone();
        change(&mut lines);
        write_lines(&log, &lines);
        assert_refused(&ledger, scope, reason);
    };
    let alter = |line: &mut String| *line = line.replacen("\"outcome\":\"ok\"", "\"outcome\":\"okay\"", 1);
    attempt(&|lines| alter(&mut lines[acme[3]]), "event 4 is not the one that event 5 names");
    attempt(&|lines| drop(lines.remove(acme[3])), "is event 5, 4 is expected");
    attempt(&|lines| lines.insert(acme[4], lines[acme[3]].clone()), "is event 4, 5 is expected");
    attempt(&|lines| lines.swap(acme[2], acme[4]), "is event 5, 3 is expected");
    attempt(&|lines| lines[acme[3]].insert(0, '#'), "is no line of a log");
    attempt(
        &|lines| lines[0] = lines[0].replacen("\"ledger_id\":\"0", "\"ledger_id\":\"f", 1),
        "belongs to another ledger",
    );
    // A space more in the JSON changes nothing for a parser, and everything for a hash.
    attempt(&|lines| lines[acme[0]].insert(1, ' '), "event 1 is not the one that event 2 names");

    write_lines(&log, &honest);
    assert_verified(&ledger, scope);
    // The other stream does not mind what was done to this one.
    let mut lines = honest.clone();
    alter(&mut lines[acme[3]]);
    write_lines(&log, &lines);
    assert_verified(&ledger, &["globex", "prod"]);
}

#[test]
fn a_cut_or_rewritten_end_shows_against_the_checkpoint_and_a_noted_head() {
    let root = tempfile::tempdir().expect("temporary directory");
    let ledger = written(root.path());
    let log = ledger.join("log/00000002.ndjson");
    let honest = lines_of(&log);
    let scope = ["acme", "prod"];
    let text = assert_verified(&ledger, &scope);
    let head = text.lines().find_map(|line| line.strip_prefix("head: ")).expect("a head").to_owned();

    let last = *events_of(&honest, "acme").last().expect("the segment has events of it");
    let mut lines = honest.clone();
    lines[last] = lines[last].replacen("\"outcome\":\"ok\"", "\"outcome\":\"okay\"", 1);
    write_lines(&log, &lines);
    assert_refused(&ledger, &scope, "event 78 is not the one that is signed or expected");

    write_lines(&log, &honest[..last]);
    assert_refused(&ledger, &scope, "it ends with event 77, 78 is signed or expected");
    // Without its checkpoints, only the noted head is left to tell.
    fs::remove_file(ledger.join("checkpoints.ndjson")).expect("removable");
    assert_verified(&ledger, &scope);
    assert_refused(&ledger, &[scope[0], scope[1], &head], "it ends with event 77, 78 is signed or expected");
}

#[test]
fn bytes_that_a_shell_would_lose_are_noticed() {
    let root = tempfile::tempdir().expect("temporary directory");
    let ledger = written(root.path());
    let log = ledger.join("log/00000001.ndjson");
    let honest = fs::read(&log).expect("readable");
    let mut bytes = honest.clone();
    bytes.insert(honest.len() / 2, 0);
    fs::write(&log, &bytes).expect("writable");
    let output = script(&ledger, &["acme", "prod"]);
    assert_eq!(output.status.code(), Some(1), "a zero byte");
    fs::write(&log, &honest[..honest.len() - 1]).expect("writable");
    assert_refused(&ledger, &["acme", "prod"], "log/00000001.ndjson ends inside a line");
    fs::write(&log, &honest).expect("writable");
    fs::remove_file(&log).expect("removable");
    assert_refused(&ledger, &["acme", "prod"], "segment 1 is missing");
}

#[test]
fn an_unfinished_last_line_is_told_and_does_not_count() {
    let root = tempfile::tempdir().expect("temporary directory");
    let ledger = written(root.path());
    let log = ledger.join("log/00000002.ndjson");
    let mut bytes = fs::read(&log).expect("readable");
    bytes.extend_from_slice(b"{\"schema_version\":1,\"ki");
    fs::write(&log, &bytes).expect("writable");
    let text = assert_verified(&ledger, &["acme", "prod"]);
    assert!(text.contains("unfinished line at the end of the log: 23 bytes"), "{text}");
}

#[test]
fn what_cannot_be_run_is_told_apart_from_what_does_not_hold() {
    let folder = tempfile::tempdir().expect("temporary directory");
    for arguments in [&["acme", "prod"][..], &["acme"], &["acme", "prod", "not-a-head"]] {
        let output = script(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(String::from_utf8_lossy(&output.stderr).starts_with("verify.sh: "), "{arguments:?}");
    }
}

#[test]
fn the_example_ledger_of_the_format_page_is_verified() {
    let ledger = repository().join("docs/example-ledger");
    for (tenant, env) in [("acme", "prod"), ("globex", "prod"), ("$system", "$system")] {
        assert_verified(&ledger, &[tenant, env]);
    }
}

/// The ledger of [`written`], of which all but the newest segment is dropped, and some events behind it.
fn cut(root: &Path) -> PathBuf {
    let options = Ledger::options().root(root).journal_bytes(1 << 20).segment_bytes(64 * 1024);
    let options = options.signer(Ed25519Signer::fixed_for_tests());
    let options = options.keep_for(std::time::Duration::ZERO).drop_without_copy(true);
    let ledger = options.open().expect("open the ledger again");
    ledger.flush().expect("the index has read what is to be dropped");
    let dropped = ledger.retain().expect("drop what is old").cut.expect("a cut");
    assert!(dropped.events > 20, "{dropped:?}");
    let ctx = ledger.context("acme", "prod").build().expect("valid ids");
    send(&ctx, "behind the cut");
    let path = ledger.path().expect("on disk").to_owned();
    ledger.close().expect("close");
    assert!(!path.join("log/00000001.ndjson").exists());
    path
}

#[test]
fn a_stream_is_verified_from_a_cut_on() {
    let root = tempfile::tempdir().expect("temporary directory");
    let whole = written(root.path());
    let noted = assert_verified(&whole, &["acme", "prod"]);
    let noted = noted.lines().find_map(|line| line.strip_prefix("head: ")).expect("a head").to_owned();
    let first = lines_of(&whole.join("log/00000001.ndjson"));
    let ledger = cut(root.path());
    assert_eq!(ledger, whole, "it is the same ledger");
    for (tenant, env) in [("acme", "prod"), ("globex", "prod"), ("$system", "$system")] {
        let text = assert_verified(&ledger, &[tenant, env]);
        assert!(text.contains("dropped before cut 1: events 1 to "), "{text}");
        let report = verify(&ledger, &VerifyOptions::new()).expect("readable");
        assert!(report.is_verified() && report.cut.is_some(), "{report}");
    }
    assert!(assert_verified(&ledger, &["acme", "prod"]).contains("79 events"));
    // A head from before, which is still in the log or the newest that was dropped.
    assert_verified(&ledger, &["acme", "prod", &noted]);
    // Segments before the cut are no part of the log.
    write_lines(&ledger.join("log/00000001.ndjson"), &first);
    assert_verified(&ledger, &["acme", "prod"]);
    fs::remove_file(ledger.join("log/00000001.ndjson")).expect("removable");

    let cuts = ledger.join("cuts.ndjson");
    let honest = fs::read_to_string(&cuts).expect("readable");
    for (from, to, reason) in [
        ("\"number\":1", "\"number\":2", "does not follow"),
        ("\"prev\":\"", "\"prev\":\"0", "does not follow"),
        ("\"head_table\":\"", "\"head_table\":\"0", "is not the one that it names"),
    ] {
        fs::write(&cuts, honest.replacen(from, to, 1)).expect("writable");
        assert_refused(&ledger, &["acme", "prod"], reason);
    }
    fs::remove_file(&cuts).expect("removable");
    assert_refused(&ledger, &["acme", "prod"], "segment 1 is missing");
    fs::write(&cuts, &honest).expect("writable");
    assert_verified(&ledger, &["acme", "prod"]);
}
