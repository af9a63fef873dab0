//! Roots that cannot hold a ledger, and ledgers that something happened to: each has its own answer.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use dataset_events::{
    Ledger, LedgerOptions, OpenError, RequestContext, Verdict, VerifyOptions, dataset_event, verify,
};
use dataset_events_tests::log::{Log, file_hashes, ledgers, only_ledger, segments};
use dataset_events_tests::mount::with_mount;
use dataset_events_tests::seed::{self, Numbers};

const DISK: &str = env!("CARGO_BIN_EXE_disk");

#[dataset_event(surface = "roots.call", access = "read", input(n))]
fn call(ctx: &RequestContext, n: u64) {}

fn record(ledger: &Ledger, from: u64, calls: u64) {
    let ctx = ledger.context("acme", "prod").build().expect("valid ids");
    for n in from..from + calls {
        call(&ctx, n);
    }
}

/// The service is that of the program, so that one takes what the other had.
fn options(root: &Path) -> LedgerOptions {
    Ledger::options().root(root).service("disk", "1").journal_bytes(1 << 20)
}

fn open(root: &Path) -> Result<Ledger, OpenError> {
    options(root).open()
}

/// A closed ledger with `calls` calls; its directory.
fn closed(root: &Path, calls: u64) -> PathBuf {
    let ledger = open(root).expect("open the ledger");
    record(&ledger, 0, calls);
    ledger.close().expect("close");
    only_ledger(root)
}

/// A ledger whose process died with ten calls in the journal alone; its directory.
fn left(root: &Path) -> PathBuf {
    assert_aborted(&Command::new(DISK).arg(root).arg("leave").output().expect("start the program"));
    only_ledger(root)
}

fn assert_aborted(output: &Output) {
    use std::os::unix::process::ExitStatusExt;
    assert_eq!(output.status.signal(), Some(6), "{output:?}");
}

/// Runs the program on a root in a file system of its own; returns what it said.
fn on_mount(setup: &str, what: &str) -> String {
    let directory = tempfile::tempdir().expect("temporary directory");
    let mut command = with_mount(DISK, directory.path(), setup);
    let output = command.arg(directory.path().join("root")).arg(what).output().expect("start unshare");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

fn calls_in(ledger: &Path) -> Vec<u64> {
    Log::read(ledger).events_of("roots.call").map(|event| event.input_number("n")).collect()
}

fn assert_verified(ledger: &Path) {
    let report = verify(ledger, &VerifyOptions::new()).expect("readable");
    assert!(report.is_verified(), "{report}");
}

#[test]
fn a_read_only_root_is_refused_by_name() {
    // Permissions do not bind root, so the file system itself is read-only.
    let said = on_mount("mount -t tmpfs none \"$1\" && mount -o remount,ro \"$1\"", "open");
    assert!(said.starts_with("ledger.io | create the root"), "{said}");
    assert!(said.contains("must be writable") && said.contains("Read-only file system"), "{said}");
}

#[test]
fn a_root_below_a_file_is_refused_by_name() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let file = directory.path().join("file");
    fs::write(&file, "not a folder").expect("write a file");
    let error = open(&file.join("root")).expect_err("a file holds no root");
    assert_eq!(error.code(), "ledger.io");
    assert!(error.to_string().contains("create the root"), "{error}");
    assert_eq!(fs::read(&file).expect("read the file"), b"not a folder");
}

#[test]
fn a_root_on_a_full_disk_is_refused_with_what_it_needs() {
    let said = on_mount("mount -t tmpfs -o size=512k none \"$1\"", "open");
    assert!(said.starts_with("ledger.journal | allocate the journal"), "{said}");
    assert!(said.contains("1048576 bytes") && said.contains("No space left"), "{said}");
    assert!(said.contains("`journal_bytes`") && said.contains("`journal_dir`"), "{said}");
}

#[test]
fn a_file_system_that_cannot_hold_a_journal_is_refused_with_a_way_out() {
    // ramfs cannot allocate a file ahead; the list of those that are known by number has a test beside it.
    let said = on_mount("mount -t ramfs none \"$1\"", "open");
    assert!(said.starts_with("ledger.unfit_file_system | "), "{said}");
    assert!(said.contains("`journal_dir`"), "{said}");
}

#[test]
fn an_unfit_disk_gives_a_ledger_in_memory_where_that_was_asked_for() {
    let setups = [
        "mount -t ramfs none \"$1\"",
        "mount -t tmpfs none \"$1\" && mount -o remount,ro \"$1\"",
        "mount -t tmpfs -o size=512k none \"$1\"",
    ];
    for setup in setups {
        assert_eq!(on_mount(setup, "memory"), "None 2 true", "{setup}");
    }
}

#[test]
fn a_damaged_ledger_is_not_replaced_by_one_in_memory() {
    let root = tempfile::tempdir().expect("temporary directory");
    let ledger = closed(root.path(), 10);
    fs::write(ledger.join("ledger.json"), "{}").expect("damage ledger.json");
    let options = options(root.path()).on_unavailable(dataset_events::OnUnavailable::Memory);
    assert_eq!(options.open().expect_err("damaged").code(), "ledger.identity");
}

#[test]
fn a_disk_that_fills_while_running_refuses_durable_calls_and_loses_nothing() {
    // Room for the journal, a little log and the index.
    let said = on_mount("mount -t tmpfs -o size=4m none \"$1\"", "full-while-running");
    assert!(said.starts_with("ledger.io | ") && said.contains("No space left"), "{said}");
}

#[test]
fn a_disk_that_is_full_for_a_while_is_written_again_without_a_restart() {
    let said = on_mount("mount -t tmpfs -o size=4m none \"$1\"", "full-for-a-while");
    assert_eq!(said, "green again");
}

#[test]
fn a_torn_tail_is_cut_into_quarantine_and_nothing_else_is_lost() {
    let root = tempfile::tempdir().expect("temporary directory");
    let ledger = left(root.path());
    let segment = segments(&ledger).pop().expect("a segment");
    let whole = fs::read(&segment).expect("read the segment");
    // What a process leaves that dies while it writes a line.
    let torn = b"{\"schema_version\":1,\"kind\":\"event\",\"ledger_id\":\"01";
    let file = fs::OpenOptions::new().write(true).open(&segment).expect("open the segment");
    file.write_all_at(torn, whole.len() as u64).expect("append");
    open(root.path()).expect("a torn tail is no corruption").close().expect("close");
    let now = fs::read(&segment).expect("read the segment");
    assert!(now.starts_with(&whole), "what was whole is as it was");
    assert_eq!(Log::read(&ledger).events_of("disk.recorded").count(), 10);
    let kept: Vec<_> = fs::read_dir(ledger.join("quarantine"))
        .expect("there is a quarantine")
        .map(|entry| fs::read(entry.expect("an entry").path()).expect("read it"))
        .collect();
    assert_eq!(kept, [torn]);
    assert_verified(&ledger);
}

#[test]
fn a_new_ledger_in_a_relative_root_keeps_its_journal() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let mut command = Command::new(DISK);
    let output = command.current_dir(folder.path()).args(["root", "leave"]).output();
    assert_aborted(&output.expect("start the program"));
    let root = folder.path().join("root");
    open(&root).expect("open what was left").close().expect("close");
    assert_eq!(Log::read(&only_ledger(&root)).events_of("disk.recorded").count(), 10);
}

#[test]
fn a_journal_that_two_paths_lead_to_is_kept() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let (root, journals, link) =
        (folder.path().join("root"), folder.path().join("journals"), folder.path().join("link"));
    fs::create_dir(&journals).expect("a directory");
    std::os::unix::fs::symlink(&journals, &link).expect("a link");
    for (journal_dir, calls) in [(&journals, 10), (&link, 20)] {
        let mut command = Command::new(DISK);
        let output = command.arg(&root).arg("leave-in").arg(journal_dir).output();
        assert_aborted(&output.expect("start the program"));
        let left = fs::read_dir(&journals).expect("the directory").count();
        assert_eq!(left, 1, "no journal after {calls} calls");
    }
    open(&root).expect("open what was left").close().expect("close");
    assert_eq!(Log::read(&only_ledger(&root)).events_of("disk.recorded").count(), 20);
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_and_recovered_from_the_journal() {
    let root = tempfile::tempdir().expect("temporary directory");
    let ledger = left(root.path());
    // The lines that the next open appends, torn anywhere: as if it had died in the middle of that write.
    let journal = fs::read(ledger.join("journal")).expect("read the journal");
    let checkpoints = fs::read(ledger.join("checkpoints.ndjson")).expect("read the checkpoints");
    let segment = segments(&ledger).pop().expect("a segment");
    let before = fs::read(&segment).expect("read the segment").len();
    open(root.path()).expect("open").close().expect("close");
    let after = fs::read(&segment).expect("read the segment");
    let line_ends: Vec<_> = (before..after.len()).filter(|at| after[*at] == b'\n').collect();
    assert!(line_ends.len() >= 10);
    // Around the ends of the first two lines, every 16th byte between, another one each run; and the ends
    // of the other lines.
    let shift = seed::of_this_run() as usize;
    let is_near_an_end = |cut: usize| line_ends[..2].iter().any(|end| cut.abs_diff(*end) <= 8);
    let two_lines = (line_ends[0]..=line_ends[2] + 1)
        .filter(|cut| is_near_an_end(*cut) || cut.wrapping_add(shift).is_multiple_of(16));
    let cuts = two_lines.chain(line_ends[3..].iter().map(|end| end + 1));
    for cut in cuts {
        fs::write(&segment, &after[..cut]).expect("tear the segment");
        fs::write(ledger.join("journal"), &journal).expect("put the journal back");
        fs::write(ledger.join("checkpoints.ndjson"), &checkpoints).expect("put the checkpoints back");
        let _ = fs::remove_file(ledger.join("log/00000001.heads.json"));
        let opened = open(root.path()).unwrap_or_else(|error| panic!("torn at byte {cut}: {error}"));
        opened.close().expect("close");
        let numbers: Vec<_> =
            Log::read(&ledger).events_of("disk.recorded").map(|event| event.input_number("n")).collect();
        assert_eq!(numbers, (0..10).collect::<Vec<_>>(), "torn at byte {cut}");
        assert_verified(&ledger);
    }
}

#[test]
fn a_torn_checkpoint_line_is_cut_and_the_one_before_it_counts() {
    let root = tempfile::tempdir().expect("temporary directory");
    let ledger = left(root.path());
    let path = ledger.join("checkpoints.ndjson");
    let mut bytes = fs::read(&path).expect("read the checkpoints");
    bytes.extend_from_slice(b"{\"number\":99,\"prev\":\"00");
    fs::write(&path, bytes).expect("tear the checkpoints");
    open(root.path()).expect("a torn checkpoint is no corruption").close().expect("close");
    assert_eq!(Log::read(&ledger).events_of("disk.recorded").count(), 10);
    assert!(ledger.join("quarantine").is_dir());
    assert_verified(&ledger);
}

#[test]
fn an_altered_byte_below_a_checkpoint_is_named_and_nothing_is_touched() {
    let root = tempfile::tempdir().expect("temporary directory");
    let ledger = closed(root.path(), 100);
    // Without a head table opening reads the log from its start, as after a kill.
    fs::remove_file(ledger.join("log/00000001.heads.json")).expect("remove the head table");
    let segment = segments(&ledger).pop().expect("a segment");
    let bytes = fs::read(&segment).expect("read the segment");
    let mut numbers = Numbers::new(seed::of_this_run());
    let random = (0..20).map(|_| numbers.below(bytes.len() as u64) as usize);
    for at in [0, bytes.len() / 2, bytes.len() - 1].into_iter().chain(random) {
        let mut altered = bytes.clone();
        altered[at] ^= 1;
        fs::write(&segment, &altered).expect("alter the segment");
        let before = file_hashes(&ledger);
        let error = open(root.path()).expect_err("bytes that were signed do not hold together");
        assert_eq!(error.code(), "ledger.corrupt", "byte {at}: {error}");
        assert!(error.to_string().contains("00000001.ndjson"), "it names the segment: {error}");
        assert_eq!(file_hashes(&ledger), before, "byte {at}: nothing was cut or written");
    }
    fs::write(&segment, &bytes).expect("put the byte back");
    open(root.path()).expect("as it was").close().expect("close");
    assert_eq!(calls_in(&ledger), (0..100).collect::<Vec<_>>());
}

/// Opening a long log does not read it all; what it did not read `verify` still names.
#[test]
fn an_altered_byte_below_a_head_table_is_named_by_verify() {
    let root = tempfile::tempdir().expect("temporary directory");
    let ledger = closed(root.path(), 100);
    let segment = segments(&ledger).pop().expect("a segment");
    let mut bytes = fs::read(&segment).expect("read the segment");
    let place = b"\"input\":{\"n\":42}";
    let at =
        bytes.windows(place.len()).position(|window| window == place).expect("call 42") + place.len() - 2;
    bytes[at] = b'3';
    fs::write(&segment, &bytes).expect("alter the segment");
    open(root.path()).expect("the end of the log is as it was").close().expect("close");
    let report = verify(&ledger, &VerifyOptions::new()).expect("readable");
    let verdicts: Vec<_> = report.findings.iter().map(|finding| finding.verdict).collect();
    assert_eq!(verdicts, [Verdict::AlteredLine], "{report}");
}

#[test]
fn a_log_below_its_checkpoint_is_refused_and_goes_on_when_the_loss_is_accepted() {
    let root = tempfile::tempdir().expect("temporary directory");
    let ledger = closed(root.path(), 100);
    let segment = segments(&ledger).pop().expect("a segment");
    let bytes = fs::read(&segment).expect("read the segment");
    let ends: Vec<_> = (0..bytes.len()).filter(|at| bytes[*at] == b'\n').collect();
    fs::write(&segment, &bytes[..=ends[50]]).expect("cut the segment");
    let before = file_hashes(&ledger);
    let error = open(root.path()).expect_err("shorter than its checkpoint");
    assert!(matches!(error, OpenError::LogShorterThanCheckpoint { .. }), "{error}");
    assert!(error.to_string().contains("accept_loss"), "{error}");
    assert_eq!(file_hashes(&ledger), before, "nothing was touched");
    let report = verify(&ledger, &VerifyOptions::new()).expect("readable");
    assert!(report.findings.iter().any(|finding| finding.verdict == Verdict::LogShorter), "{report}");

    let opened = options(root.path()).accept_loss(true).open().expect("accepted");
    record(&opened, 1_000, 10);
    opened.close().expect("close");
    let numbers = calls_in(&ledger);
    assert!(numbers.len() < 100 && numbers.ends_with(&(1_000..1_010).collect::<Vec<_>>()), "{numbers:?}");
    let log = Log::read(&ledger);
    let told: Vec<_> = log.events_of("ledger.rolled_back").collect();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].scope, "$system/$system");
    let report = verify(&ledger, &VerifyOptions::new()).expect("readable");
    assert!(!report.accepted_losses.is_empty(), "verify says so: {report}");
    // From here on it opens as any other.
    open(root.path()).expect("open").close().expect("close");
}

#[test]
fn a_deleted_or_damaged_index_is_made_anew() {
    let root = tempfile::tempdir().expect("temporary directory");
    let ledger = closed(root.path(), 300);
    let index = ledger.join("index.redb");
    let damages: [&dyn Fn(); 3] = [
        &|| fs::remove_file(&index).expect("delete the index"),
        &|| fs::write(&index, b"not a database").expect("overwrite the index"),
        &|| {
            let mut bytes = fs::read(&index).expect("read the index");
            let middle = bytes.len() / 2;
            bytes.truncate(middle);
            fs::write(&index, bytes).expect("cut the index");
        },
    ];
    for (at, damage) in damages.iter().enumerate() {
        assert!(index.exists(), "before damage {at}");
        damage();
        let opened = open(root.path()).expect("the index is derived");
        opened.flush().expect("flush");
        let acme = "acme".parse().expect("valid");
        let reader = opened.scope(&acme, &"prod".parse().expect("valid"));
        let count = reader.events().surface("roots.*").count().expect("readable");
        assert_eq!(count, 300, "after damage {at}");
        opened.close().expect("close");
    }
}

#[test]
fn a_foreign_or_missing_identity_is_refused() {
    let root = tempfile::tempdir().expect("temporary directory");
    let other_root = tempfile::tempdir().expect("temporary directory");
    let (ledger, other) = (closed(root.path(), 10), closed(other_root.path(), 10));
    let path = ledger.join("ledger.json");
    let own = fs::read(&path).expect("read ledger.json");
    let foreign = fs::read(other.join("ledger.json")).expect("read ledger.json");
    for (bytes, says) in
        [(Some(&*foreign), "it is of ledger"), (Some(b"{".as_slice()), ""), (None, "missing")]
    {
        match bytes {
            Some(bytes) => fs::write(&path, bytes).expect("replace ledger.json"),
            None => fs::remove_file(&path).expect("remove ledger.json"),
        }
        let before = file_hashes(&ledger);
        let error = open(root.path()).expect_err("not this ledger's identity");
        assert!(matches!(error, OpenError::Identity { .. }), "{error}");
        assert!(error.to_string().contains(says), "{error}");
        assert_eq!(file_hashes(&ledger), before, "nothing was touched");
    }
    fs::write(&path, own).expect("put ledger.json back");
    open(root.path()).expect("as it was").close().expect("close");
}

#[test]
fn a_second_opener_of_a_root_gets_a_ledger_of_its_own() {
    let root = tempfile::tempdir().expect("temporary directory");
    let held = open(root.path()).expect("open");
    let said = Command::new(DISK).arg(root.path()).arg("open").output().expect("start the program");
    assert_eq!(said.stdout, b"opened\n");
    let second = open(root.path()).expect("also in this process");
    assert_ne!(held.id(), second.id());
    record(&held, 0, 5);
    record(&second, 5, 5);
    held.close().expect("close");
    second.close().expect("close");
    // The other process's was free again when this one asked for a second.
    let found = ledgers(root.path());
    assert_eq!(found.len(), 2, "{found:?}");
    let all: Vec<u64> = found.iter().flat_map(|ledger| calls_in(ledger)).collect();
    assert_eq!(all, (0..10).collect::<Vec<_>>());
    found.iter().for_each(|ledger| assert_verified(ledger));
}

#[test]
fn what_dead_processes_left_in_a_root_is_recovered_by_who_opens_it_next() {
    let root = tempfile::tempdir().expect("temporary directory");
    // This one holds the oldest ledger, so that the program that dies has another.
    let held = open(root.path()).expect("open");
    assert_aborted(&Command::new(DISK).arg(root.path()).arg("leave").output().expect("start the program"));
    held.close().expect("close");
    let found = ledgers(root.path());
    assert_eq!(found.len(), 2);
    assert_eq!(Log::read(&found[1]).events_of("disk.recorded").count(), 0, "in the journal alone");
    let opened = open(root.path()).expect("open");
    assert_eq!(opened.path(), Some(&*found[0]), "the oldest that is free");
    assert_eq!(Log::read(&found[1]).events_of("disk.recorded").count(), 10);
    opened.close().expect("close");
    assert_verified(&found[1]);
}

/// The journal is where the last process had it, not where this one would put it.
#[test]
fn a_journal_that_lies_elsewhere_is_found_whatever_the_next_process_is_told() {
    for next in [Some("first"), Some("second"), None] {
        let directory = tempfile::tempdir().expect("temporary directory");
        let root = directory.path().join("root");
        let first = directory.path().join("first");
        let mut command = Command::new(DISK);
        let output = command.arg(&root).arg("leave-in").arg(&first).output().expect("start the program");
        assert_aborted(&output);
        let ledger = only_ledger(&root);
        assert!(!ledger.join("journal").exists(), "it lies elsewhere");
        let mut options = Ledger::options().root(&root).journal_bytes(1 << 20);
        if let Some(name) = next {
            options = options.journal_dir(directory.path().join(name));
        }
        options.open().expect("open").close().expect("close");
        assert_eq!(Log::read(&ledger).events_of("disk.recorded").count(), 10);
        // And home again, with nothing left behind.
        open(&root).expect("open").close().expect("close");
        assert_eq!(Log::read(&ledger).events_of("disk.recorded").count(), 10);
        assert!(ledger.join("journal").exists());
        for folder in ["first", "second"].map(|name| directory.path().join(name)) {
            let left = fs::read_dir(folder).map(Iterator::count).unwrap_or_default();
            assert_eq!(left, 0, "the former journal is gone");
        }
        assert_verified(&ledger);
    }
}

/// In a container every start has the same process id. One that died while it made the root's secret must
/// not keep the next from starting.
#[test]
fn what_a_process_with_the_same_id_left_does_not_keep_this_one_from_starting() {
    let root = tempfile::tempdir().expect("temporary directory");
    for name in [format!("secret.{}", std::process::id()), "secret.0".to_owned()] {
        fs::write(root.path().join(name), b"half").expect("leave a file");
    }
    closed(root.path(), 1);
}
