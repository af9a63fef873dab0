//! What a target holds is enough: to verify, to read on, to answer queries.

use dataset_events::sinks::EntryKind;
use dataset_events::sources::{SourceQuery, SourceStart, verify_source};
use dataset_events::{DatasetEvent, LogPosition, Scope, VerifyOptions, verify};

use crate::sink_contract::held::{
    assert_holds, assert_streams_are_whole, from_source_after, put_together, scopes,
};
use crate::sink_contract::{Driver, LedgerCut, Target, story};

fn filled(target: &mut dyn Target, cut: &LedgerCut) {
    let mut driver = Driver::new(target, cut.ledger_id);
    driver.forward_all(cut, 40);
    driver.close();
}

pub(super) fn verified_from_the_target_alone(target: &mut dyn Target) {
    let cut = story::orders(500);
    filled(target, &cut);
    let report = |pieces: &[_]| {
        let directory = tempfile::tempdir().expect("a directory to verify");
        put_together(pieces, directory.path());
        verify(directory.path(), &VerifyOptions::new()).expect("verify what was put together")
    };
    let (here, there) = (report(&cut.pieces), report(&target.held(cut.ledger_id)));
    assert!(here.is_verified() && here.protected.is_some(), "{here:?}");
    assert_eq!(there, here);
}

/// A sink that is attached when segments have been dropped: what it holds says so, and verifies alone.
pub(super) fn begins_at_a_cut(target: &mut dyn Target) {
    let cut = story::begins_at_a_cut();
    for batch_entries in [cut.pieces.len(), 11] {
        let mut driver = Driver::new(target, cut.ledger_id);
        driver.forward_all(&cut, batch_entries);
        driver.close();
        assert_holds(target, &cut, &[]);
    }
    let Some(source) = target.source() else { return };
    assert_streams_are_whole(&target.held(cut.ledger_id));
    let verified = verify_source(&*source, cut.ledger_id, &VerifyOptions::new()).expect("verify the target");
    let begins = verified.report.cut.as_ref().map(|cut| cut.number);
    assert!(verified.is_verified() && begins == Some(2), "{verified:?}");
}

pub(super) fn source_reads_on(target: &mut dyn Target) {
    let (cut, other) = (story::orders(300), story::orders(20));
    let source = target.source().expect("the check needs a source");
    assert!(!source.ledgers().expect("list the ledgers").contains(&cut.ledger_id));
    filled(target, &cut);
    filled(target, &other);
    let mut ids = [cut.ledger_id, other.ledger_id];
    ids.sort();
    assert_eq!(source.ledgers().expect("list the ledgers"), ids);
    let is_line = |kind| matches!(kind, EntryKind::Event | EntryKind::Attempt);
    let lines: Vec<_> = cut.pieces.iter().filter(|piece| is_line(piece.kind)).collect();
    let last = *lines.last().expect("a line");
    let end = LogPosition { offset: last.position.offset + last.bytes.len() as u64 + 1, ..last.position };
    for position in
        [LogPosition::START, lines[1].position, lines[lines.len() / 2].position, last.position, end]
    {
        let held = from_source_after(&*source, cut.ledger_id, &SourceStart::new(position, 1));
        for piece in &cut.pieces {
            let is_wanted = match piece.kind {
                kind if is_line(kind) => piece.position >= position,
                EntryKind::Checkpoint => piece.key > dataset_events::sinks::EntryKey::Checkpoint(1),
                EntryKind::Identity => true,
                _ => piece.position > position,
            };
            assert!(!is_wanted || held.contains(piece), "read from {position}: {piece:?} is missing");
        }
        assert!(held.iter().all(|piece| cut.pieces.contains(piece)), "read what was never forwarded");
    }
}

/// The events of a scope by what the ledger says, the newest first.
fn expected(cut: &LedgerCut, scope: &Scope, is_wanted: impl Fn(&DatasetEvent) -> bool) -> Vec<String> {
    let lines = cut.pieces.iter().filter(|piece| piece.kind == EntryKind::Event);
    let lines = lines.map(|piece| String::from_utf8(piece.bytes.clone()).expect("a line is UTF-8"));
    let is_of_scope = |line: &String| {
        let event = DatasetEvent::from_line(line).expect("a line of the ledger");
        event.scope() == scope && is_wanted(&event)
    };
    let mut lines: Vec<String> = lines.filter(is_of_scope).collect();
    lines.reverse();
    lines
}

fn asked(target: &dyn Target, scope: &Scope, mut query: SourceQuery) -> Vec<String> {
    let source = target.source().expect("the check needs a source");
    let mut lines = Vec::new();
    loop {
        let page = source.events(scope, &query).unwrap_or_else(|error| panic!("query {scope}: {error:?}"));
        let most = if query.limit == 0 { 50 } else { query.limit };
        assert!(page.events.len() <= most, "a page of {} where {most} were asked for", page.events.len());
        for found in page.events {
            let parsed = DatasetEvent::from_line(&found.line).expect("the exact line is an event");
            assert_eq!(parsed.event_id, found.event.event_id);
            lines.push(found.line);
        }
        match page.next {
            Some(next) => query.after = Some(next),
            None => return lines,
        }
    }
}

/// A query, set up from an event in the middle of the scope, and what must be true of what it finds.
type Case = (&'static str, fn(&DatasetEvent) -> SourceQuery, fn(&DatasetEvent, &DatasetEvent) -> bool);

fn query(set: impl FnOnce(&mut SourceQuery)) -> SourceQuery {
    let mut query = SourceQuery::default();
    set(&mut query);
    query
}

const CASES: [Case; 8] = [
    ("everything", |_| SourceQuery::default(), |_, _| true),
    ("pages of 7", |_| query(|query| query.limit = 7), |_, _| true),
    (
        "a surface",
        |one| query(|query| query.surface = Some(one.surface.clone())),
        |one, event| event.surface == one.surface,
    ),
    (
        "an outcome",
        |_| query(|query| (query.outcome, query.limit) = (Some("error".into()), 3)),
        |_, event| event.outcome.as_str() == "error",
    ),
    (
        "a trace",
        |one| query(|query| query.trace_id = Some(one.trace_id.to_string())),
        |one, event| event.trace_id == one.trace_id,
    ),
    ("a user", |_| query(|query| query.user_id = Some("u_7".into())), |_, event| event.user_id().is_some()),
    ("a user that is not there", |_| query(|query| query.user_id = Some("nobody".into())), |_, _| false),
    (
        "a time",
        |one| {
            query(|query| {
                (query.since_us, query.until_us) = (Some(one.recorded_at - 500), Some(one.recorded_at))
            })
        },
        |one, event| (one.recorded_at - 500..one.recorded_at).contains(&event.recorded_at),
    ),
];

pub(super) fn source_answers_queries(target: &mut dyn Target) {
    let cut = story::orders(300);
    filled(target, &cut);
    let scopes = scopes(&cut);
    assert!(scopes.len() > 4, "the scopes of the orders and of the ledger: {scopes:?}");
    for scope in &scopes {
        let all = expected(&cut, scope, |_| true);
        let middle = DatasetEvent::from_line(&all[all.len() / 2]).expect("an event of the ledger");
        for (name, query, is_wanted) in CASES {
            let wanted = expected(&cut, scope, |event| is_wanted(&middle, event));
            assert_eq!(asked(target, scope, query(&middle)), wanted, "{name}, asked of {scope}");
        }
    }
    let unknown = Scope::new("nobody".parse().expect("valid"), "prod".parse().expect("valid"));
    assert_eq!(asked(target, &unknown, SourceQuery::default()), Vec::<String>::new());
}
