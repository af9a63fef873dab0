use std::collections::BTreeMap;
use std::fs;
use std::sync::Mutex;

use super::*;
use crate::event::{DatasetEvent, LineHash};
use crate::ids::Scope;
use crate::ledger::Ledger;
use crate::log::line::hash_line;
use crate::log::verify::{Verdict, VerifyOptions, verify};
use crate::log::{LogPosition, head_table_name, segment_name};
use crate::query::synthetic::Random;
use crate::sources::{
    SourceError, SourcePage, SourcePiece, SourceQuery, SourceStart, scan_events, verify_source,
};

/// A source that gives the pieces that it is made of.
#[derive(Clone)]
struct Pieces {
    ledger_id: LedgerId,
    pieces: Arc<Mutex<Vec<SourcePiece>>>,
    /// After so many pieces the source is away.
    breaks_after: Option<usize>,
}

impl Source for Pieces {
    fn kind(&self) -> &'static str {
        "pieces"
    }

    fn ledgers(&self) -> Result<Vec<LedgerId>, SourceError> {
        Ok(vec![self.ledger_id])
    }

    fn read(
        &self,
        _: LedgerId,
        from: &SourceStart,
        take: &mut dyn FnMut(SourcePiece) -> Result<(), SourceError>,
    ) -> Result<(), SourceError> {
        let pieces = self.pieces.lock().unwrap().clone();
        for (index, piece) in pieces.into_iter().enumerate() {
            if self.breaks_after == Some(index) {
                return Err(SourceError::unavailable("read a piece", "the line is cut"));
            }
            let is_known = match &piece {
                SourcePiece::Log { position, bytes } => {
                    (position.segment, position.offset + bytes.len() as u64)
                        <= (from.position.segment, from.position.offset)
                }
                SourcePiece::Checkpoint { number, .. } => *number <= from.checkpoint,
                _ => false,
            };
            if !is_known {
                take(piece)?;
            }
        }
        Ok(())
    }

    fn events(&self, scope: &Scope, query: &SourceQuery) -> Result<SourcePage, SourceError> {
        scan_events(self, scope, query)
    }
}

impl Pieces {
    fn of(ledger_id: LedgerId, pieces: Vec<SourcePiece>) -> Self {
        Self { ledger_id, pieces: Arc::new(Mutex::new(pieces)), breaks_after: None }
    }

    fn set(&self, pieces: Vec<SourcePiece>) {
        *self.pieces.lock().unwrap() = pieces;
    }
}

/// A closed ledger of two tenants, with several segments and openings.
pub(crate) struct Made {
    root: tempfile::TempDir,
    pub(crate) ledger_id: LedgerId,
}

impl Made {
    pub(crate) fn new() -> Self {
        Self::of(700, 256 << 10)
    }

    /// With so many events in each of three openings.
    pub(crate) fn of(events: u64, segment_bytes: u64) -> Self {
        let root = tempfile::tempdir().unwrap();
        let mut ledger_id = None;
        for _ in 0..3 {
            let options = Ledger::options().root(root.path()).journal_bytes(2 << 20);
            let ledger = options.segment_bytes(segment_bytes).open().unwrap();
            ledger_id = Some(ledger.id());
            for number in 0..events {
                let tenant = if number % 2 == 0 { "acme" } else { "globex" };
                let ctx = ledger.context(tenant, "prod").user_id("u_7").build().unwrap();
                let event = ctx.event("chat.send").input("text", &"x".repeat(1_000));
                event.record().unwrap();
            }
            ledger.flush().unwrap();
            ledger.close().unwrap();
        }
        Self { root, ledger_id: ledger_id.unwrap() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.root.path().join(self.ledger_id.to_string())
    }

    pub(crate) fn segments(&self) -> u32 {
        (1..).take_while(|segment| self.path().join(segment_name(*segment)).exists()).count() as u32
    }

    pub(crate) fn lines(&self, segment: u32) -> Vec<(LogPosition, Vec<u8>)> {
        let bytes = fs::read(self.path().join(segment_name(segment))).unwrap();
        let mut offset = 0;
        let lines = bytes.split_inclusive(|byte| *byte == b'\n').map(|line| {
            let position = LogPosition { segment, offset };
            offset += line.len() as u64;
            (position, line.to_vec())
        });
        lines.collect()
    }

    /// What a source would give, with the log cut at random places and some of it twice.
    pub(crate) fn pieces(&self, random: &mut Random) -> Vec<SourcePiece> {
        let mut pieces = vec![SourcePiece::Identity(fs::read(self.path().join("ledger.json")).unwrap())];
        for segment in 1..=self.segments() {
            let lines = self.lines(segment);
            let mut at = 0;
            while at < lines.len() {
                let end = (at + 1 + random.below(200) as usize).min(lines.len());
                let from = at.saturating_sub(if random.is_one_in(4) { random.below(30) as usize } else { 0 });
                let bytes = lines[from..end].iter().flat_map(|(_, line)| line.clone()).collect();
                pieces.push(SourcePiece::Log { position: lines[from].0, bytes });
                at = end;
            }
        }
        for segment in 1..=self.segments() {
            let bytes = fs::read(self.path().join(head_table_name(segment))).unwrap();
            let position = crate::log::head_table::HeadTable::parse(&bytes, self.ledger_id).unwrap().position;
            pieces.push(SourcePiece::HeadTable { position, bytes });
        }
        let checkpoints = fs::read(self.path().join("checkpoints.ndjson")).unwrap();
        for (number, line) in (1..).zip(checkpoints.split(|byte| *byte == b'\n')) {
            if !line.is_empty() {
                pieces.push(SourcePiece::Checkpoint { number, line: line.to_vec() });
            }
        }
        pieces
    }
}

/// What a reader sees of a ledger's directory: names, lengths and hashes.
pub(crate) fn contents(path: &Path) -> BTreeMap<String, (usize, LineHash)> {
    let told = |bytes: Vec<u8>| (bytes.len(), hash_line(&bytes));
    let mut contents = BTreeMap::new();
    for name in ["ledger.json", "checkpoints.ndjson"] {
        if let Ok(bytes) = fs::read(path.join(name)) {
            contents.insert(name.to_owned(), told(bytes));
        }
    }
    for entry in fs::read_dir(path.join("log")).into_iter().flatten() {
        let path = entry.unwrap().path();
        contents
            .insert(path.file_name().unwrap().to_str().unwrap().to_owned(), told(fs::read(path).unwrap()));
    }
    contents
}

#[test]
fn a_ledger_is_put_together_as_it_was_whatever_the_cuts_and_breaks() {
    let made = Made::new();
    assert!(made.segments() >= 3, "{} segments", made.segments());
    let mut random = Random::new();
    for _ in 0..6 {
        let directory = tempfile::tempdir().unwrap();
        let pieces = made.pieces(&mut random);
        let mut source = Pieces::of(made.ledger_id, pieces.clone());
        // Away again and again, and each time the pieces are cut anew and another process goes on.
        for _ in 0..5 {
            source.breaks_after = Some(random.below(pieces.len() as u64) as usize);
            source.set(made.pieces(&mut random));
            let restored = Restored::new(directory.path(), source.clone());
            if let Err(error) = restored.refresh_ledger(made.ledger_id) {
                assert!(matches!(&error, RestoreError::Source(SourceError::Unavailable { .. })), "{error:?}");
            }
        }
        source.breaks_after = None;
        let restored = Restored::new(directory.path(), source);
        let told = restored.refresh().unwrap();
        assert!(told.failed.is_empty(), "{:?}", told.failed);
        let [ledger] = &told.ledgers[..] else { panic!("one ledger: {told:?}") };
        assert_eq!((ledger.gap, ledger.missing_checkpoint), (None, None));
        assert_eq!(contents(&restored.path(made.ledger_id)), contents(&made.path()));
        assert_eq!(restored.refresh_ledger(made.ledger_id).unwrap().new_bytes, 0);
    }
    let directory = tempfile::tempdir().unwrap();
    let restored = Restored::new(directory.path(), Pieces::of(made.ledger_id, made.pieces(&mut random)));
    restored.refresh().unwrap();
    let at_home = verify(made.path(), &VerifyOptions::new()).unwrap();
    assert!(at_home.verified, "{at_home:?}");
    let here = verify(restored.path(made.ledger_id), &VerifyOptions::new()).unwrap();
    assert_eq!(serde_json::to_value(here).unwrap(), serde_json::to_value(at_home).unwrap());
}

#[test]
fn a_hole_ends_the_log_there_is_named_and_heals_when_the_bytes_come() {
    let made = Made::new();
    let mut random = Random::new();
    let directory = tempfile::tempdir().unwrap();
    let whole = made.pieces(&mut random);
    let lines = made.lines(2);
    let (from, to) = (lines[10].0, lines[20].0);
    let holed: Vec<_> = whole
        .iter()
        .flat_map(|piece| match piece {
            SourcePiece::Log { position, .. } if position.segment == 2 => {
                let is_first = position.offset == 0;
                let parts = [&lines[..10], &lines[20..]];
                let parts = parts.map(|lines| SourcePiece::Log {
                    position: lines[0].0,
                    bytes: lines.iter().flat_map(|(_, line)| line.clone()).collect(),
                });
                if is_first { parts.to_vec() } else { Vec::new() }
            }
            other => vec![other.clone()],
        })
        .collect();
    let source = Pieces::of(made.ledger_id, holed);
    let restored = Restored::new(directory.path(), source.clone());
    for _ in 0..2 {
        let ledger = restored.refresh_ledger(made.ledger_id).unwrap();
        assert_eq!((ledger.end, ledger.gap), (from, Some(LogGap { end: from, next: to })));
    }
    let verified = verify_source(&source, made.ledger_id, &VerifyOptions::new()).unwrap();
    assert!(!verified.is_verified() && verified.gap.is_some());
    let verdicts: Vec<_> = verified.report.findings.iter().map(|finding| finding.verdict).collect();
    assert!(verdicts.contains(&Verdict::LogShorter), "{verdicts:?}");
    let scope = Scope::from_stored("acme", "prod").unwrap();
    let error = source.events(&scope, &SourceQuery::default()).unwrap_err();
    assert!(error.to_string().contains("lines are missing between"), "{error}");
    source.set(whole);
    assert_eq!(restored.refresh_ledger(made.ledger_id).unwrap().gap, None);
    assert_eq!(contents(&restored.path(made.ledger_id)), contents(&made.path()));
    assert!(verify_source(&source, made.ledger_id, &VerifyOptions::new()).unwrap().is_verified());
}

#[test]
fn a_missing_checkpoint_is_named_found_by_verify_and_heals() {
    let made = Made::new();
    let directory = tempfile::tempdir().unwrap();
    let whole = made.pieces(&mut Random::new());
    let without = |lost: u64| {
        let kept = whole
            .iter()
            .filter(|piece| !matches!(piece, SourcePiece::Checkpoint { number, .. } if *number == lost));
        kept.cloned().collect::<Vec<_>>()
    };
    let source = Pieces::of(made.ledger_id, without(3));
    let restored = Restored::new(directory.path(), source.clone());
    for _ in 0..2 {
        let ledger = restored.refresh_ledger(made.ledger_id).unwrap();
        assert_eq!((ledger.checkpoint, ledger.missing_checkpoint), (2, Some(3)));
    }
    let report = verify(restored.path(made.ledger_id), &VerifyOptions::new()).unwrap();
    assert!(
        report.findings.iter().any(|finding| finding.verdict == Verdict::CheckpointMissing),
        "{report:?}"
    );
    source.set(whole);
    let ledger = restored.refresh_ledger(made.ledger_id).unwrap();
    assert_eq!(ledger.missing_checkpoint, None);
    assert_eq!(contents(&restored.path(made.ledger_id)), contents(&made.path()));
}

#[test]
fn two_different_bytes_for_one_place_are_an_error() {
    let made = Made::new();
    let pieces = made.pieces(&mut Random::new());
    let lines = made.lines(1);
    let mut altered = lines[5].1.clone();
    let at = altered.len() / 2;
    altered[at] ^= 1;
    let mut other_table = fs::read(made.path().join(head_table_name(1))).unwrap();
    other_table.insert(1, b' ');
    let position = crate::log::head_table::HeadTable::parse(&other_table, made.ledger_id).unwrap().position;
    let mut other_identity: serde_json::Value =
        serde_json::from_slice(&fs::read(made.path().join("ledger.json")).unwrap()).unwrap();
    other_identity["created_at"] = 7.into();
    let cases = [
        (SourcePiece::Log { position: lines[5].0, bytes: altered }, "two different bytes for one place"),
        (SourcePiece::HeadTable { position, bytes: other_table }, "two different head tables"),
        (
            SourcePiece::Checkpoint { number: 2, line: b"{\"number\":2}".to_vec() },
            "two different checkpoints 2",
        ),
        (SourcePiece::Identity(other_identity.to_string().into_bytes()), "contradict each other"),
        (SourcePiece::Log { position: lines[5].0, bytes: b"torn".to_vec() }, "do not end with a line"),
    ];
    for (piece, expected) in cases {
        let mut all = pieces.clone();
        all.push(piece);
        let error = verify_source(&Pieces::of(made.ledger_id, all), made.ledger_id, &VerifyOptions::new())
            .unwrap_err();
        assert!(error.is_corrupt() && error.to_string().contains(expected), "{expected}: {error}");
    }
    let no_identity = Pieces::of(made.ledger_id, pieces[1..].to_vec());
    let error = verify_source(&no_identity, made.ledger_id, &VerifyOptions::new()).unwrap_err();
    assert!(error.is_corrupt() && error.to_string().contains("ledger.json"), "{error}");
}

#[test]
fn a_directory_that_holds_something_else_is_left_alone() {
    let made = Made::new();
    let before = contents(&made.path());
    let pieces = made.pieces(&mut Random::new());
    // The ledger's own root, given by mistake.
    let restored = Restored::new(made.root.path(), Pieces::of(made.ledger_id, pieces));
    let error = restored.refresh_ledger(made.ledger_id).unwrap_err();
    assert!(matches!(&error, RestoreError::NotRestored { .. }), "{error:?}");
    assert_eq!(contents(&made.path()), before);
}

#[test]
fn a_cache_that_lost_bytes_is_restored_anew() {
    let made = Made::new();
    let directory = tempfile::tempdir().unwrap();
    let source = Pieces::of(made.ledger_id, made.pieces(&mut Random::new()));
    let restored = Restored::new(directory.path(), source);
    restored.refresh_ledger(made.ledger_id).unwrap();
    let path = restored.path(made.ledger_id);
    let marker = marker::Marker::load(&DiskStorage::new(path.clone())).unwrap().unwrap();
    let newest = path.join(segment_name(marker.end.segment));
    match marker.end.offset {
        0 => fs::remove_file(&newest).unwrap(),
        bytes => fs::File::options().write(true).open(&newest).unwrap().set_len(bytes - 1).unwrap(),
    }
    restored.refresh_ledger(made.ledger_id).unwrap();
    assert_eq!(contents(&path), contents(&made.path()));
    // Bytes that a restoring wrote that did not come to its end.
    for torn in [path.join("checkpoints.ndjson"), newest] {
        let mut bytes = fs::read(&torn).unwrap();
        bytes.extend_from_slice(b"{\"torn");
        fs::write(&torn, bytes).unwrap();
    }
    restored.refresh_ledger(made.ledger_id).unwrap();
    assert_eq!(contents(&path), contents(&made.path()));
}

#[test]
fn a_scan_answers_queries_of_one_scope_in_pages() {
    let made = Made::new();
    let source = Pieces::of(made.ledger_id, made.pieces(&mut Random::new()));
    let scope = Scope::from_stored("acme", "prod").unwrap();
    let mut expected: Vec<String> = (1..=made.segments())
        .flat_map(|segment| made.lines(segment))
        .map(|(_, line)| String::from_utf8(line).unwrap().trim_end().to_owned())
        .filter(|line| line.contains("\"tenant_id\":\"acme\"") && line.contains("\"kind\":\"event\""))
        .collect();
    expected.reverse();
    let mut query = SourceQuery { limit: 400, ..SourceQuery::default() };
    let (mut got, mut pages) = (Vec::new(), 0);
    loop {
        let page = source.events(&scope, &query).unwrap();
        got.extend(page.events.into_iter().map(|event| event.line));
        pages += 1;
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    assert_eq!((got.len(), pages), (1_050, 3));
    assert_eq!(got, expected);
    let count = |query: SourceQuery| source.events(&scope, &query).unwrap().events.len();
    let all = SourceQuery { limit: 1_000, ..SourceQuery::default() };
    assert_eq!(count(SourceQuery::default()), 50);
    assert_eq!(count(SourceQuery { surface: Some("chat.sen".into()), ..all.clone() }), 0);
    assert_eq!(count(SourceQuery { user_id: Some("u_7".into()), ..all.clone() }), 1_000);
    assert_eq!(count(SourceQuery { outcome: Some("error".into()), ..all.clone() }), 0);
    let newest = DatasetEvent::from_line(&expected[0]).unwrap();
    assert_eq!(count(SourceQuery { trace_id: Some(newest.trace_id.to_string()), ..all.clone() }), 1);
    assert_eq!(count(SourceQuery { since_us: Some(newest.recorded_at + 1), ..all.clone() }), 0);
    assert_eq!(count(SourceQuery { until_us: Some(0), ..all.clone() }), 0);
    for refused in [
        SourceQuery { outcome: Some("fine".into()), ..all.clone() },
        SourceQuery { after: Some("7".into()), ..all },
    ] {
        let error = source.events(&scope, &refused).unwrap_err();
        assert!(matches!(error, SourceError::Refused { .. }), "{error}");
    }
}
