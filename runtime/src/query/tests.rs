//! The index, the scan and a reading by serde alone must give the same answers.

use std::time::{Duration, Instant};

use super::synthetic::{CODES, Random, SURFACES, SyntheticLog};
use super::*;
use crate::event::DatasetEvent;
use crate::index::IndexWait;
use crate::scope::ScopedReader;

/// How the whole of a log reads without index, reader or field scanner.
struct Oracle(Vec<(LogPosition, DatasetEvent)>);

impl Oracle {
    fn new(log: &SyntheticLog) -> Self {
        let lines = log.all_lines().into_iter();
        Self(lines.filter_map(|(at, line)| Some((at, DatasetEvent::from_line(&line).ok()?))).collect())
    }

    /// Selects by conditions written down a second time, on parsed events.
    fn select(&self, scope: Option<&Scope>, wanted: &Wanted) -> Vec<LogPosition> {
        let mut found: Vec<_> = self.0.iter().filter(|(_, event)| wanted.accepts(scope, event)).collect();
        if wanted.is_newest_first {
            found.reverse();
        }
        found.into_iter().map(|(at, _)| *at).collect()
    }
}

/// A random query, as plain values.
#[derive(Debug, Default, Clone)]
struct Wanted {
    surfaces: Vec<&'static str>,
    outcomes: Vec<Outcome>,
    codes: Vec<&'static str>,
    users: Vec<String>,
    since: Option<i64>,
    until: Option<i64>,
    request: Option<String>,
    trace: Option<u64>,
    after_seq: Option<u64>,
    before_seq: Option<u64>,
    is_newest_first: bool,
}

const GLOBS: [(&str, &[usize]); 7] = [
    ("chat.*", &[0, 1]),
    ("chat*", &[0, 1, 2]),
    ("*.list", &[1]),
    ("budget.check", &[3]),
    ("*", &[0, 1, 2, 3, 4, 5]),
    ("nothing.*", &[]),
    ("*_*", &[4, 5]),
];

impl Wanted {
    fn random(random: &mut Random, events: u64, first: i64, last: i64) -> Self {
        let mut wanted = Self { is_newest_first: random.is_one_in(2), ..Self::default() };
        let span = (last - first).max(1) as u64;
        if random.is_one_in(3) {
            wanted.surfaces = (0..=random.below(2)).map(|_| random.pick(&GLOBS).0).collect();
        }
        if random.is_one_in(3) {
            wanted.outcomes = (0..=random.below(3)).map(|_| *random.pick(&Outcome::ALL)).collect();
        }
        if random.is_one_in(5) {
            wanted.codes = (0..=random.below(2)).map(|_| *random.pick(&CODES)).collect();
        }
        if random.is_one_in(5) {
            wanted.users = vec![format!("u\\\"{}", random.below(5))];
        }
        if random.is_one_in(3) {
            wanted.since = Some(first + random.below(span + 10) as i64 - 5);
        }
        if random.is_one_in(3) {
            wanted.until = Some(first + random.below(span + 10) as i64 - 5);
        }
        if random.is_one_in(6) {
            wanted.request = Some(format!("req-{}", random.below(events / 4 + 2)));
        }
        if random.is_one_in(6) {
            wanted.trace = Some(random.below(events / 6 + 2) + 1);
        }
        let seqs = [0, 1, random.below(events / 5), random.below(events / 3), u64::MAX];
        if random.is_one_in(4) {
            wanted.after_seq = Some(*random.pick(&seqs));
        }
        if random.is_one_in(4) {
            wanted.before_seq = Some(*random.pick(&seqs));
        }
        wanted
    }

    fn accepts(&self, scope: Option<&Scope>, event: &DatasetEvent) -> bool {
        let any =
            |list: &[&str], value: Option<&str>| list.is_empty() || value.is_some_and(|v| list.contains(&v));
        let surface = SURFACES.iter().position(|surface| *surface == event.surface).unwrap();
        let globs: Vec<_> = GLOBS.iter().filter(|(glob, _)| self.surfaces.contains(glob)).collect();
        scope.is_none_or(|scope| scope == event.scope())
            && (globs.is_empty() || globs.iter().any(|(_, hits)| hits.contains(&surface)))
            && (self.outcomes.is_empty() || self.outcomes.contains(&event.outcome))
            && any(&self.codes, event.code())
            && any(
                &self.users.iter().map(String::as_str).collect::<Vec<_>>(),
                event.user_id().map(UserId::as_str),
            )
            && self.since.is_none_or(|since| since <= event.recorded_at)
            && self.until.is_none_or(|until| event.recorded_at < until)
            && self.request.as_ref().is_none_or(|request| event.request_id == **request)
            && self.trace.is_none_or(|trace| event.trace_id.to_string() == format!("{trace:032x}"))
            && self.after_seq.is_none_or(|after| after < event.seq)
            && self.before_seq.is_none_or(|before| event.seq < before)
    }

    fn apply(&self, mut selection: Selection) -> Selection {
        selection.filter = Filter {
            surfaces: self.surfaces.iter().map(|glob| (*glob).to_owned()).collect(),
            outcomes: self.outcomes.clone(),
            codes: self.codes.iter().map(|code| (*code).to_owned()).collect(),
            users: self.users.iter().map(|user| UserId::new(user).unwrap()).collect(),
            since: self.since,
            until: self.until,
            request: self.request.as_ref().map(|request| RequestId::new(request).unwrap()),
            trace: self.trace.map(|trace| format!("{trace:032x}")),
            after_seq: self.after_seq,
            before_seq: self.before_seq,
            ..Filter::default()
        };
        selection.is_newest_first = self.is_newest_first;
        selection
    }
}

fn soon() -> Option<Instant> {
    Some(Instant::now() + Duration::from_secs(60))
}

fn indexed(log: &SyntheticLog) -> (ReadParts, Arc<IndexFollower>) {
    let follower = IndexFollower::start(log.storage.clone(), log.ledger_id, log.end);
    let follower = Arc::new(follower);
    let source = ReadSource::Indexed(follower.clone());
    (ReadParts { storage: log.storage.clone(), ledger_id: log.ledger_id, source }, follower)
}

fn scanned(log: &SyntheticLog) -> ReadParts {
    let source = ReadSource::Scanned { until: log.end };
    ReadParts { storage: log.storage.clone(), ledger_id: log.ledger_id, source }
}

fn scope(tenant: &str, env: &str) -> Scope {
    Scope::from_stored(tenant, env).unwrap()
}

fn positions(events: Events) -> Vec<LogPosition> {
    events.map(|event| event.unwrap().position).collect()
}

/// Holds every way of reading against the oracle, for random queries.
fn compare(log: &SyntheticLog, random: &mut Random, ways: &[(&str, &ReadParts)], queries: usize) {
    let oracle = Oracle::new(log);
    let times: Vec<_> = oracle.0.iter().map(|(_, event)| event.recorded_at).collect();
    let mut scopes: Vec<_> = SyntheticLog::scopes().into_iter().map(Some).collect();
    scopes.extend([None, Some(scope("nobody", "prod"))]);
    let mut selected = 0;
    for _ in 0..queries {
        let wanted = Wanted::random(random, times.len() as u64, times[0], times[times.len() - 1]);
        let of = random.pick(&scopes).clone();
        let expected = oracle.select(of.as_ref(), &wanted);
        selected += expected.len();
        for (way, parts) in ways {
            let selection = || wanted.apply(Selection::new((*parts).clone(), of.clone(), true));
            assert_eq!(positions(selection().iter()), expected, "{way}: {of:?} {wanted:?}");
            assert_eq!(selection().count().unwrap(), expected.len() as u64, "{way}: {of:?} {wanted:?}");
        }
    }
    assert!(selected > queries, "the random queries select next to nothing: {selected}");
}

#[test]
fn index_scan_and_oracle_agree_on_random_queries() {
    let mut random = Random::new();
    let mut log = SyntheticLog::in_memory();
    log.append_random(&mut random, 3_000);
    let (parts, follower) = indexed(&log);
    assert_eq!(follower.wait_for(log.end, soon()), IndexWait::Reached);
    let scanned = scanned(&log);
    compare(&log, &mut random, &[("index", &parts), ("scan", &scanned)], 90);
}

#[test]
fn what_the_index_has_not_read_is_scanned() {
    let mut random = Random::new();
    let mut log = SyntheticLog::in_memory();
    log.append_random(&mut random, 1_500);
    let (parts, follower) = indexed(&log);
    assert_eq!(follower.wait_for(log.end, soon()), IndexWait::Reached);
    follower.close();
    let half = Arc::new(crate::index::Index::open(&log.storage, log.ledger_id).unwrap().0);
    half.catch_up(&log.storage, log.end).unwrap();
    log.append_random(&mut random, 1_500);
    // The follower's thread has ended; only its durable position moves on.
    let halfway = IndexFollower::stopped(half, log.end);
    let source = ReadSource::Indexed(Arc::new(halfway));
    let half = ReadParts { source, ..parts.clone() };
    follower.advance(log.end);
    compare(&log, &mut random, &[("half an index", &half), ("closed index", &parts)], 50);
}

#[test]
fn pages_in_both_directions_are_the_whole_cut_into_pieces() {
    let mut random = Random::new();
    let mut log = SyntheticLog::in_memory();
    log.append_random(&mut random, 1_200);
    let (parts, follower) = indexed(&log);
    assert_eq!(follower.wait_for(log.end, soon()), IndexWait::Reached);
    for parts in [parts, scanned(&log)] {
        let reader = ScopedReader::of_operator(parts.clone(), scope("acme", "prod"));
        for query in [reader.events().surface("chat.*"), reader.events().surface("chat.*").newest_first()] {
            let whole = positions(query.clone().iter());
            assert!(whole.len() > 20);
            let mut pieces = Vec::new();
            let mut next = None;
            loop {
                let query = query.clone();
                let page = next.map_or(query.clone(), |next| query.resume(next)).page(7).unwrap();
                assert!(page.events.len() == 7 || page.next.is_none());
                pieces.extend(page.events.iter().map(|event| event.position));
                next = page.next;
                if next.is_none() {
                    break;
                }
            }
            assert_eq!(pieces, whole);
            assert_eq!(query.limit(5).page(9).unwrap().events.len(), 5);
        }
        for query in [OperatorQuery::new(parts.clone()), OperatorQuery::new(parts.clone()).newest_first()] {
            let whole = positions(query.clone().iter());
            let middle = whole[whole.len() / 2];
            let page = query.clone().resume(middle).page(50).unwrap();
            let expected = &whole[whole.len() / 2 + 1..][..50];
            assert_eq!(page.events.iter().map(|event| event.position).collect::<Vec<_>>(), expected);
            assert_eq!(page.next, expected.last().copied());
            // A place inside a line is a bound like any other.
            let inside = LogPosition { offset: middle.offset + 5, ..middle };
            let there = positions(query.resume(inside).iter()).contains(&middle);
            assert_eq!(there, whole[0] > middle);
        }
    }
}

#[test]
fn a_scope_sees_nothing_of_another_and_the_operator_sees_all() {
    let mut random = Random::new();
    let mut log = SyntheticLog::in_memory();
    log.append_random(&mut random, 800);
    let (parts, follower) = indexed(&log);
    assert_eq!(follower.wait_for(log.end, soon()), IndexWait::Reached);
    let operator = crate::OperatorReader::new(parts);
    let summaries = operator.scopes().unwrap();
    assert_eq!(summaries, crate::OperatorReader::new(scanned(&log)).scopes().unwrap());
    assert_eq!(summaries.len(), SyntheticLog::scopes().len());
    let mut seen = 0;
    for summary in &summaries {
        let reader = operator.scope(&summary.scope);
        let events: Vec<_> = reader.events().iter().map(Result::unwrap).collect();
        assert!(events.iter().all(|event| *event.event.scope() == summary.scope));
        assert!(events.iter().zip(1..).all(|(event, seq)| event.event.seq == seq));
        assert!(events.windows(2).all(|pair| pair[1].event.prev == pair[0].hash()));
        assert_eq!(summary.events, events.len() as u64);
        assert_eq!(Some(&summary.head), reader.head().unwrap().as_ref());
        assert_eq!(summary.head.hash, events[events.len() - 1].hash());
        seen += events.len() as u64;
    }
    assert_eq!(operator.events().count().unwrap(), seen);
    assert!(operator.system().events().count().unwrap() > 0);
}

#[test]
fn hostile_filters_are_plain_data() {
    let mut random = Random::new();
    let mut log = SyntheticLog::in_memory();
    log.append_random(&mut random, 300);
    let (parts, follower) = indexed(&log);
    assert_eq!(follower.wait_for(log.end, soon()), IndexWait::Reached);
    for parts in [parts, scanned(&log)] {
        let reader = ScopedReader::of_operator(parts, scope("acme", "prod"));
        for hostile in
            ["", "%", "' OR 1=1 --", "../../etc", "a\0b", "\u{202e}", "chat.\n", "[a-z]*", "**.\\*"]
        {
            assert_eq!(reader.events().surface(hostile).count().unwrap(), 0, "{hostile:?}");
            assert_eq!(reader.events().code(hostile).count().unwrap(), 0, "{hostile:?}");
        }
        assert_eq!(reader.events().user(&UserId::new("*").unwrap()).count().unwrap(), 0);
        assert_eq!(reader.events().request(&RequestId::new("req-*").unwrap()).count().unwrap(), 0);
        assert_eq!(reader.events().since(i64::MAX).until(i64::MIN).count().unwrap(), 0);
        assert_eq!(reader.events().limit(0).iter().count(), 0);
        assert!(reader.events().surface("*".repeat(10_000)).count().unwrap() > 0);
    }
}

/// Two scopes, one event each; afterwards the log is changed behind the back of the index.
#[test]
fn a_line_of_another_scope_is_withheld_and_the_index_built_again() {
    let mut log = SyntheticLog::in_memory();
    let (ours, theirs) = (scope("acme", "prod"), scope("evil", "prod"));
    for of in [&ours, &theirs] {
        let line = log.event(of, "chat.send", Outcome::Ok, None, None, "r", 1);
        log.append_line(&line);
    }
    let (parts, follower) = indexed(&log);
    assert_eq!(follower.wait_for(log.end, soon()), IndexWait::Reached);
    let lines = log.all_lines();
    let swapped = lines[1].1.clone() + "\n" + &lines[0].1 + "\n";
    log.storage.open("log/00000001.ndjson", false).unwrap().write_all_at(0, swapped.as_bytes()).unwrap();
    let reader = ScopedReader::of_operator(parts, ours.clone());
    let error = reader.events().iter().next().unwrap().unwrap_err();
    assert!(matches!(error, ReadError::NotTheEvent { seq: 1, .. }), "{error}");
    assert_eq!(follower.wait_for(log.end, soon()), IndexWait::Reached);
    let health = follower.health();
    assert_eq!((health.rebuilds, health.is_ok), (1, true), "{health:?}");
    let event = reader.events().iter().next().unwrap().unwrap();
    assert_eq!(*event.event.scope(), ours);
}

#[test]
fn lines_that_are_no_events_are_passed_over() {
    let mut random = Random::new();
    let mut log = SyntheticLog::in_memory();
    log.append_random(&mut random, 300);
    let foreign = log.all_lines()[0].1.replace("0190", "0191");
    for line in ["", "{}", "not json", "{\"schema_version\":2}", &foreign, "\u{feff}"] {
        log.append_line(line);
    }
    let torn = log.event(&scope("acme", "prod"), "chat.send", Outcome::Ok, None, None, "r", 1);
    log.append_line(&torn[..torn.len() / 2]);
    log.append_random(&mut random, 300);
    let (parts, follower) = indexed(&log);
    assert_eq!(follower.wait_for(log.end, soon()), IndexWait::Reached);
    let ours = |event: &(LogPosition, DatasetEvent)| event.1.ledger_id == log.ledger_id;
    let expected = Oracle::new(&log).0.iter().filter(|event| ours(event)).count();
    for parts in [parts, scanned(&log)] {
        assert_eq!(positions(OperatorQuery::new(parts.clone()).iter()).len(), expected);
        assert_eq!(OperatorQuery::new(parts.clone()).count().unwrap(), expected as u64);
        let scopes = crate::OperatorReader::new(parts).scopes().unwrap();
        assert_eq!(scopes.iter().map(|scope| scope.events).sum::<u64>(), expected as u64);
    }
}
