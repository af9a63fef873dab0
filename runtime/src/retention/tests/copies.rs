//! What sinks hold of a ledger that drops segments.

use std::time::Instant;

use super::*;
use crate::log::verify::Verdict;
use crate::sinks::ndjson::{NdjsonSettings, NdjsonSink};
use crate::sinks::{Sink, SinkSpec};
use crate::sources::ndjson::NdjsonSource;
use crate::sources::{Restored, Source, SourcePiece, SourceStart, SourceVerification, verify_source};

/// A place for copies, by its name.
struct Copy {
    name: &'static str,
    sink: Box<dyn Sink>,
    source: Box<dyn Source>,
}

fn copies(directory: &Path) -> Vec<Copy> {
    let files = directory.join("files");
    let mut copies = vec![Copy {
        name: "files",
        sink: Box::new(NdjsonSink::new(NdjsonSettings::new(&files))),
        source: Box::new(NdjsonSource::new(&files)),
    }];
    #[cfg(feature = "replica")]
    {
        use crate::sinks::replica::{ReplicaSettings, ReplicaSink};
        let settings = ReplicaSettings::directory(directory.join("replica"));
        copies.push(Copy {
            name: "replica",
            sink: Box::new(ReplicaSink::new(settings.clone())),
            source: Box::new(crate::sources::ReplicaSource::new(settings)),
        });
    }
    copies
}

fn spec(name: &str, sink: Box<dyn Sink>) -> SinkSpec {
    let spec = SinkSpec::new(name, sink).expect("a name").required(true);
    spec.batch_age(Duration::from_millis(5)).close_within(Duration::from_secs(30))
}

/// Makes a cut, as soon as the cursors of all sinks allow it.
fn cut(ledger: &Ledger, now: i64) -> u64 {
    let since = Instant::now();
    loop {
        let done = retain(ledger, now);
        match done.cut {
            Some(cut) => return cut.number,
            None => assert!(since.elapsed() < Duration::from_secs(20), "{:?}", done.kept),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn drained(ledger: &Ledger) {
    let drained = ledger.drain(Duration::from_secs(20)).expect("drain");
    assert!(drained.is_complete, "{drained:?}");
}

fn verification(source: &dyn Source) -> SourceVerification {
    let verified = verify_source(source, LEDGER, &VerifyOptions::new()).expect("put together");
    assert!(verified.is_verified(), "{verified:?}");
    verified
}

fn held_cuts(source: &dyn Source) -> Vec<u64> {
    let mut numbers = Vec::new();
    let mut take = |piece| {
        if let SourcePiece::Cut { number, .. } = piece {
            numbers.push(number);
        }
        Ok(())
    };
    source.read(LEDGER, &SourceStart::default(), &mut take).expect("read");
    numbers
}

#[test]
fn a_sink_that_is_attached_after_cuts_verifies_from_the_newest_on() {
    let (root, target) = (tempfile::tempdir().expect("root"), tempfile::tempdir().expect("target"));
    let ledger = on_disk(root.path(), 1).open().expect("open");
    for (number, now) in [(1, LATER), (2, 2 * LATER)] {
        write(&ledger, 40);
        assert_eq!(cut(&ledger, now), number);
    }
    let mut sources = Vec::new();
    for Copy { name, sink, source } in copies(target.path()) {
        ledger.sinks().add(spec(name, sink)).expect("attached");
        sources.push((name, source));
    }
    write(&ledger, 40);
    drained(&ledger);
    for (name, source) in &sources {
        let begins = verification(&**source).report.cut.expect("it begins at a cut");
        assert_eq!((begins.number, held_cuts(&**source)), (2, vec![1, 2]), "{name}");
    }
    // A third, which the copies do not need: they hold what it drops.
    let dropped = verify_storage(&*ledger.owner.storage, &VerifyOptions::new()).expect("a ledger").events;
    assert_eq!(cut(&ledger, 3 * LATER), 3);
    write(&ledger, 10);
    ledger.close().expect("close");
    let at_home = verified(&crate::log::storage::DiskStorage::new(root.path().join(LEDGER.to_string())));
    assert_eq!(at_home.cut.as_ref().map(|cut| cut.number), Some(3));
    for (name, source) in sources {
        let there = verification(&*source).report;
        assert_eq!(held_cuts(&*source), [1, 2, 3], "{name}");
        assert_eq!(there.cut.as_ref().map(|cut| cut.number), Some(2), "{name}");
        assert!(there.events > dropped && there.events > at_home.events, "{name}");
        assert_eq!(there.protected, at_home.protected, "{name}");
        // Restored, it is a ledger as any that begins at a cut, and restoring again changes nothing.
        let cache = tempfile::tempdir().expect("cache");
        let restored = Restored::new(cache.path(), Shared(source.into()));
        for _ in 0..2 {
            restored.refresh_ledger(LEDGER).expect("restored");
            let directory = crate::log::storage::DiskStorage::new(restored.path(LEDGER));
            assert_eq!(verified(&directory).cut, there.cut, "{name}");
        }
    }
}

struct Shared(Arc<dyn Source>);

impl Source for Shared {
    fn kind(&self) -> &'static str {
        self.0.kind()
    }

    fn ledgers(&self) -> Result<Vec<LedgerId>, crate::sources::SourceError> {
        self.0.ledgers()
    }

    fn read(
        &self,
        ledger_id: LedgerId,
        from: &SourceStart,
        take: &mut dyn FnMut(SourcePiece) -> Result<(), crate::sources::SourceError>,
    ) -> Result<(), crate::sources::SourceError> {
        self.0.read(ledger_id, from, take)
    }

    fn events(
        &self,
        scope: &crate::ids::Scope,
        query: &crate::sources::SourceQuery,
    ) -> Result<crate::sources::SourcePage, crate::sources::SourceError> {
        self.0.events(scope, query)
    }
}

#[test]
fn a_sink_that_holds_everything_verifies_whole_after_cuts() {
    let (root, target) = (tempfile::tempdir().expect("root"), tempfile::tempdir().expect("target"));
    let ledger = on_disk(root.path(), 1).open().expect("open");
    let mut sources = Vec::new();
    for Copy { name, sink, source } in copies(target.path()) {
        ledger.sinks().add(spec(name, sink)).expect("attached");
        sources.push((name, source));
    }
    let mut written = 0;
    for (number, now) in [(1, LATER), (2, 2 * LATER)] {
        write(&ledger, 40);
        written += 40;
        assert_eq!(cut(&ledger, now), number);
    }
    ledger.close().expect("close");
    for (name, source) in sources {
        let report = verification(&*source).report;
        assert_eq!((report.cut, held_cuts(&*source)), (None, vec![1, 2]), "{name}");
        assert!(report.events > written, "{name}: {}", report.events);
    }
}

/// Whatever is done to the cut with which a copy begins, or to what it names: it shows.
#[cfg(feature = "replica")]
#[test]
fn a_cut_that_is_altered_exchanged_or_gone_from_a_replica_shows() {
    let (root, target) = (tempfile::tempdir().expect("root"), tempfile::tempdir().expect("target"));
    let ledger = on_disk(root.path(), 1).open().expect("open");
    write(&ledger, 40);
    assert_eq!(cut(&ledger, LATER), 1);
    let Copy { name, sink, source } = copies(target.path()).pop().expect("the replica");
    ledger.sinks().add(spec(name, sink)).expect("attached");
    write(&ledger, 20);
    ledger.close().expect("close");
    verification(&*source);
    let verdicts = || match verify_source(&*source, LEDGER, &VerifyOptions::new()) {
        Ok(verified) => {
            assert!(!verified.is_verified(), "{verified:?}");
            verified.report.findings.iter().map(|finding| finding.verdict).collect()
        }
        Err(error) => {
            assert!(error.is_corrupt(), "{error}");
            Vec::new()
        }
    };
    let folder = target.path().join("replica").join(LEDGER.to_string());
    let path = folder.join("cuts/00000000000000000001.json");
    let honest = std::fs::read(&path).expect("the cut");
    let put = |bytes: &[u8]| std::fs::write(&path, bytes).expect("write");
    for at in (0..honest.len() - 1).step_by(7) {
        let mut altered = honest.clone();
        altered[at] ^= 1;
        put(&altered);
        verdicts();
    }
    let text = String::from_utf8(honest.clone()).expect("text");
    put(text.replacen("\"keep_for_s\":60", "\"keep_for_s\":61", 1).as_bytes());
    assert!(verdicts().contains(&Verdict::CutAltered));
    std::fs::remove_file(&path).expect("remove");
    assert!(verdicts().contains(&Verdict::SegmentMissing));
    put(&honest);
    verification(&*source);
    let tables =
        std::fs::read_dir(folder.join("heads")).expect("head tables").map(|entry| entry.expect("one").path());
    let first = tables.min().expect("the table of the cut");
    std::fs::rename(&first, target.path().join("away")).expect("take the table away");
    assert!(verdicts().contains(&Verdict::HeadTableMismatch));
}
