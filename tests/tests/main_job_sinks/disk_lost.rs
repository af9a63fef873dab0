//! `kill -9` in the middle of the work, and the disk with the ledgers is gone: what is left is the replica.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use dataset_events::sinks::replica::ReplicaSettings;
use dataset_events::sources::{ReplicaSource, Restored, Source, verify_source};
use dataset_events::{Ledger, LedgerReader, LogPosition, VerifyOptions};
use dataset_events_examples::services::SinkReport;
use dataset_events_tests::log::{Line, Log, ledgers, segments};

use crate::job::{Job, Service, copy, program};

/// What the configuration says. The loss is about it and the time of one upload.
const BATCH_AGE: Duration = Duration::from_secs(1);
/// Far more than until the kill.
const DOCUMENTS: usize = 1_000;
/// By then there are signed checkpoints.
const CHECKPOINTED: Duration = Duration::from_secs(2);
/// How much of the log the replica must have acknowledged before the kill, so that the work is under way.
const ENOUGH_BYTES: u64 = 300_000;

/// What was known of a ledger just before the kill.
struct LastAck {
    service: String,
    acknowledged: LogPosition,
}

/// Waits until the replica of a service is under way; answers what it had acknowledged then.
fn last_ack(service: &Service) -> LastAck {
    let begun = Instant::now();
    loop {
        let sinks = service.sinks();
        let [SinkReport { acknowledged, .. }] = &*sinks else { panic!("one sink: {sinks:?}") };
        let is_under_way = acknowledged.segment > 1 || acknowledged.offset > ENOUGH_BYTES;
        if is_under_way && begun.elapsed() > CHECKPOINTED {
            return LastAck { service: service.name.clone(), acknowledged: *acknowledged };
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "nothing is forwarded: {sinks:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until there is something that the replica of a service lacks, and that is not due soon.
fn wait_until_behind(service: &Service) {
    let begun = Instant::now();
    loop {
        let sinks = service.sinks();
        let [sink] = &*sinks else { panic!("one sink: {sinks:?}") };
        if sink.lag_events > 0 && sink.lag_seconds < BATCH_AGE.as_secs_f64() / 2.0 {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "nothing is behind: {sinks:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The ledger that a service wrote.
fn of_service(paths: &[PathBuf], service: &str) -> PathBuf {
    let is_its = |path: &&PathBuf| {
        let reader = LedgerReader::open(path).expect("open a ledger").unrecorded_operator();
        let first = reader.events().iter().next().expect("an event").expect("it is readable");
        first.event.writer.service == service
    };
    paths.iter().find(is_its).unwrap_or_else(|| panic!("the ledger of {service}")).clone()
}

fn log_bytes(ledger: &Path) -> Vec<u8> {
    segments(ledger).iter().flat_map(|segment| fs::read(segment).expect("read a segment")).collect()
}

/// The log up to a position.
fn log_up_to(ledger: &Path, position: LogPosition) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (number, segment) in (1..=position.segment).zip(segments(ledger)) {
        let read = fs::read(segment).expect("read a segment");
        let end =
            if number < position.segment { read.len() } else { position.offset.try_into().expect("a size") };
        bytes.extend_from_slice(read.get(..end).expect("the log reaches there"));
    }
    bytes
}

/// When the call of an event had ended, in microseconds since 1970.
fn ended_us(line: &Line) -> i64 {
    let event = line.json();
    let number = |key: &str| event[key].as_i64().unwrap_or_else(|| panic!("no {key}: {event}"));
    number("started_at") + number("duration_ns") / 1_000
}

#[test]
fn what_the_replica_acknowledged_outlives_the_disk() {
    let elsewhere = tempfile::tempdir().expect("make a temporary directory");
    let replica = elsewhere.path().join("replica");
    let job = Job::new(
        DOCUMENTS,
        &format!(
            "[sinks.archive]\nbackend = \"replica\"\nurl = {replica:?}\nrequired = true\nbatch_age = \"{}s\"\n",
            BATCH_AGE.as_secs()
        ),
    );
    let mut running = job.start();
    let acks: Vec<LastAck> = running.services.iter().map(last_ack).collect();
    wait_until_behind(&running.services[0]);
    assert!(running.is_at_work(), "the kill comes in the middle of the work");
    let killed_us = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_micros();
    running.kill();

    // The disk is gone. What was on it is kept aside, to measure what is missing; nothing restores from there.
    let aside = elsewhere.path().join("aside");
    copy(&job.ledgers(), &aside);
    fs::remove_dir_all(job.ledgers()).expect("delete the ledgers");
    assert!(!job.ledgers().exists());

    let source = || ReplicaSource::new(ReplicaSettings::directory(&replica));
    let restored = Restored::new(elsewhere.path().join("restored"), source());
    let found = restored.refresh().expect("restore from the replica");
    assert!(found.failed.is_empty(), "{found:?}");
    assert_eq!(found.ledgers.len(), 2, "the gateway's and the engines'");
    let paths: Vec<PathBuf> = found.ledgers.iter().map(|ledger| restored.path(ledger.ledger_id)).collect();
    let lost_paths = ledgers(&aside);
    let mut lost_of_both = 0;
    for LastAck { service, acknowledged } in &acks {
        let (path, home) = (of_service(&paths, service), of_service(&lost_paths, service));
        let ledger = found.ledgers.iter().find(|ledger| restored.path(ledger.ledger_id) == path);
        let ledger = ledger.expect("it is restored");
        assert!(ledger.gap.is_none() && ledger.missing_checkpoint.is_none(), "{ledger:?}");
        assert!(ledger.end >= *acknowledged, "{service}: {ledger:?} ends before {acknowledged:?}");
        let verified = verify_source(&source(), ledger.ledger_id, &VerifyOptions::new()).expect("verify");
        assert!(verified.is_verified(), "{service}: {}", verified.report);
        assert!(verified.report.checkpoints > 0, "{service}: {}", verified.report);
        // Not a byte of it is another than it was at home.
        let (there, at_home) = (log_bytes(&path), log_bytes(&home));
        assert!(at_home.starts_with(&there), "{service}: the replica has another log");
        let acknowledged = log_up_to(&home, *acknowledged);
        assert!(there.starts_with(&acknowledged), "{service}: not all that was acknowledged is there");
        lost_of_both += lost(service, &path, &aside, &home, i64::try_from(killed_us).expect("a time"));
    }
    assert!(lost_of_both > 0, "the measure itself: there was work that the replica did not have yet");
    assert_eq!(source().ledgers().expect("list the ledgers").len(), 2);
    assert_restored_by_command(&replica, &elsewhere.path().join("by-command"));
}

/// Recovers what the lost disk held, its journal included, and counts the events that the replica lacks. How old they
/// were is printed: it is the batch age, an upload, and what else the machine is busy with.
fn lost(service: &str, restored: &Path, aside: &Path, home: &Path, killed_us: i64) -> usize {
    Ledger::options().root(aside).service(service, "0").open().expect("recover").close().expect("close");
    let there: BTreeSet<String> = Log::read(restored).events().map(|line| line.event_id.clone()).collect();
    let recorded = Log::read(home);
    // Without those that the recovery itself made: ends of open calls, and its own.
    let recorded: Vec<&Line> = recorded
        .events()
        .filter(|line| line.outcome != "interrupted" && ended_us(line) <= killed_us)
        .collect();
    let lost: Vec<&&Line> = recorded.iter().filter(|line| !there.contains(&line.event_id)).collect();
    let oldest_us = lost.iter().map(|line| ended_us(line)).min().unwrap_or(killed_us);
    println!(
        "loss bound of {service}: of {} events that were recorded before the kill {} are lost with the disk, the oldest \
         {:.3} s before it (batch age {:.1} s, and one upload)",
        recorded.len(),
        lost.len(),
        (killed_us - oldest_us) as f64 / 1e6,
        BATCH_AGE.as_secs_f64()
    );
    assert!(!there.is_empty() && recorded.len() > there.len() / 2, "{service}: the measure itself");
    lost.len()
}

/// What an operator would do.
fn assert_restored_by_command(replica: &Path, into: &Path) {
    let mut command = program();
    command.arg("restore").arg("--replica").arg(replica).arg("--into").arg(into);
    let output = command.output().expect("run the command");
    let said = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    for service in ["gateway", "engines"] {
        assert!(said.contains(&format!("Its newest event was recorded by {service} ")), "{said}");
    }
    assert_eq!(said.matches("Its newest event was recorded ").count(), 2, "{said}");
    println!("{said}");
}
