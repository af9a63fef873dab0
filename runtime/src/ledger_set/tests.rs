//! A set must answer as a sorted list of all events does, whatever happens to its ledgers meanwhile.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::made::{Made, MadeLedger, START_US, scope};
use super::*;
use crate::event::{DatasetEvent, EventPlace, Outcome};
use crate::ids::{Env, Scope, TenantId};
use crate::query::synthetic::Random;

fn prod(set: &LedgerSet, tenant: &str) -> SetScope {
    set.scope(&TenantId::new(tenant).unwrap(), &Env::new("prod").unwrap())
}

fn of_root(root: &Path) -> LedgerSet {
    LedgerSet::options().root(root).open()
}

fn places(events: &[StoredEvent]) -> Vec<EventPlace> {
    events.iter().map(|event| EventPlace::of(&event.event)).collect()
}

/// Every place of a scope that a condition selects, in order, by a way that shares nothing with queries.
fn expected(
    ledgers: &[MadeLedger],
    scope: &Scope,
    is_wanted: impl Fn(&DatasetEvent) -> bool,
) -> Vec<EventPlace> {
    let events = ledgers.iter().flat_map(|ledger| &ledger.events);
    let mut places: Vec<_> =
        events.filter(|event| event.scope() == scope && is_wanted(event)).map(EventPlace::of).collect();
    places.sort_unstable();
    places
}

fn three(root: &Path, random: &mut Random, events: usize) -> Vec<MadeLedger> {
    let scopes = [scope("acme"), scope("acm"), scope("zeta"), Scope::system()];
    let mut ledgers: Vec<_> = (1..=3).map(|number| MadeLedger::new(root, number)).collect();
    for ledger in &mut ledgers {
        // Times collide, within and across ledgers.
        ledger.write_random(random, &scopes, events, 3);
    }
    ledgers
}

#[test]
fn queries_of_a_set_equal_a_sorted_list_of_all_events() {
    let mut random = Random::new();
    let root = tempfile::tempdir().unwrap();
    let mut ledgers = three(root.path(), &mut random, 400);
    let set = of_root(root.path());
    for round in 0..60 {
        if random.is_one_in(4) {
            let at = random.below(3) as usize;
            ledgers[at].write_random(&mut random, &[scope("acme"), scope("acm")], 50, 3);
        }
        let tenant = *random.pick(&["acme", "acm", "zeta", "nobody"]);
        let outcome = random.is_one_in(3).then(|| *random.pick(&Outcome::ALL));
        let since = random.is_one_in(3).then(|| START_US + random.below(500) as i64);
        let until = random.is_one_in(3).then(|| START_US + random.below(900) as i64);
        let trace = random.is_one_in(4).then(|| random.below(30) + 1);
        let is_chat = random.is_one_in(3);
        let is_newest_first = random.is_one_in(2);
        let mut wanted = expected(&ledgers, &scope(tenant), |event| {
            outcome.is_none_or(|outcome| event.outcome == outcome)
                && since.is_none_or(|since| event.recorded_at >= since)
                && until.is_none_or(|until| event.recorded_at < until)
                && trace.is_none_or(|trace| event.trace_id.to_string() == format!("{trace:032x}"))
                && (!is_chat || event.surface.starts_with("chat."))
        });
        if is_newest_first {
            wanted.reverse();
        }
        let query = || {
            let mut query = prod(&set, tenant).events();
            query = outcome.into_iter().fold(query, SetQuery::outcome);
            query = since.into_iter().fold(query, SetQuery::since);
            query = until.into_iter().fold(query, SetQuery::until);
            query = trace.into_iter().fold(query, |q, t| q.trace(format!("{t:032x}").parse().unwrap()));
            query = if is_chat { query.surface("chat.*") } else { query };
            if is_newest_first { query.newest_first() } else { query }
        };
        let all: Vec<_> = query().iter().unwrap().map(|event| event.unwrap()).collect();
        assert_eq!(places(&all), wanted, "round {round}");
        assert_eq!(query().count().unwrap(), SetCount { events: wanted.len() as u64, unread: vec![] });
        let len = random.below(90) as usize + 1;
        let (mut paged, mut resume) = (Vec::new(), None::<String>);
        loop {
            // A cursor travels as text.
            let behind = resume.iter().map(|place| place.parse().unwrap());
            let page = behind.fold(query(), SetQuery::resume).page(len).unwrap();
            assert!(page.events.len() <= len && page.unread.is_empty());
            paged.extend(places(&page.events));
            resume = page.next.map(|place| place.to_string());
            if resume.is_none() {
                break;
            }
        }
        assert_eq!(paged, wanted, "round {round}, pages of {len}");
    }
}

#[test]
fn newest_first_pages_stay_valid_while_ledgers_grow_and_join() {
    let mut random = Random::new();
    let root = tempfile::tempdir().unwrap();
    let mut ledgers = three(root.path(), &mut random, 300);
    let set = of_root(root.path());
    let mut wanted = expected(&ledgers, &scope("acme"), |_| true);
    wanted.reverse();
    let query = || prod(&set, "acme").events().newest_first();
    let mut page = query().page(40).unwrap();
    let mut paged = places(&page.events);
    while let Some(next) = page.next {
        for ledger in &mut ledgers {
            ledger.now = ledger.now.max(START_US + 10_000);
            ledger.write_random(&mut random, &[scope("acme")], 5, 3);
        }
        if ledgers.len() < 6 {
            let mut joined = MadeLedger::new(root.path(), 10 + ledgers.len() as u128);
            joined.now += 20_000;
            joined.write_random(&mut random, &[scope("acme")], 5, 3);
            ledgers.push(joined);
        }
        page = query().resume(next).page(40).unwrap();
        paged.extend(places(&page.events));
    }
    assert_eq!(paged, wanted);
    let now = expected(&ledgers, &scope("acme"), |_| true).len() as u64;
    assert_eq!(query().count().unwrap().events, now);
    assert_eq!(set.ledgers().len(), 6);
}

#[test]
fn only_whole_lines_are_read_and_nothing_is_written() {
    let root = tempfile::tempdir().unwrap();
    let mut ledger = MadeLedger::new(root.path(), 1);
    let acme = scope("acme");
    ledger.write(&Made::ok(&acme, "chat.send"));
    let set = of_root(root.path());
    let count = || prod(&set, "acme").events().count().unwrap().events;
    let line = ledger.line(&Made::ok(&acme, "chat.send"));
    let listing = || {
        let files = [&ledger.path, &ledger.path.join("log")].map(|folder| {
            let mut names: Vec<_> =
                fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
            names.sort_unstable();
            names
        });
        files.concat()
    };
    let before = listing();
    for cut in [0, 1, line.len() / 2, line.len() - 1] {
        let whole = fs::read(ledger.path.join("log/00000001.ndjson")).unwrap();
        ledger.append(&line[..cut]);
        assert_eq!(count(), 1, "with {cut} bytes of a line");
        fs::write(ledger.path.join("log/00000001.ndjson"), whole).unwrap();
    }
    ledger.append(&line);
    assert_eq!(count(), 2);
    assert_eq!(listing(), before);
}

#[test]
fn what_cannot_be_read_is_named_in_every_answer() {
    let mut random = Random::new();
    let root = tempfile::tempdir().unwrap();
    let mut ledgers = three(root.path(), &mut random, 60);
    let set = of_root(root.path());
    assert!(set.refresh().is_empty());
    // One ledger loses its log behind the set's back; one comes with a damaged identity; a root is not there.
    let gone = ledgers.remove(0);
    fs::rename(gone.path.join("log"), gone.path.join("elsewhere")).unwrap();
    let damaged = MadeLedger::new(root.path(), 9);
    fs::write(damaged.path.join("ledger.json"), "{").unwrap();
    let named = |unread: &[Unread]| {
        let mut named: Vec<_> = unread.iter().map(|unread| unread.ledger_id.unwrap()).collect();
        named.sort_unstable();
        named
    };
    let both = [gone.ledger_id, damaged.ledger_id];
    let page = prod(&set, "acme").events().page(1_000).unwrap();
    assert_eq!(places(&page.events), expected(&ledgers, &scope("acme"), |_| true));
    assert_eq!(named(&page.unread), both);
    let damaged_reason =
        page.unread.iter().find(|unread| unread.ledger_id == Some(damaged.ledger_id)).unwrap();
    assert!(damaged_reason.to_string().contains("understand ledger.json"), "{damaged_reason}");
    assert_eq!(named(&prod(&set, "acme").events().count().unwrap().unread), both);
    let errors: Vec<_> = prod(&set, "acme").events().iter().unwrap().filter_map(Result::err).collect();
    assert_eq!(named(&errors), both);
    assert_eq!(named(&set.unrecorded_operator().scopes().unread), both);
    let unreadable =
        set.ledgers().into_iter().filter(|ledger| matches!(ledger.status, LedgerStatus::Unreadable { .. }));
    assert_eq!(unreadable.count(), 2);
    let failed: Vec<_> =
        set.verify().into_iter().filter(|ledger| ledger.ledger_id == Some(damaged.ledger_id)).collect();
    assert!(failed.len() == 1 && !failed[0].is_verified() && failed[0].error.is_some(), "{failed:?}");
    fs::rename(gone.path.join("elsewhere"), gone.path.join("log")).unwrap();
    assert_eq!(named(&set.refresh()), [damaged.ledger_id]);
    let missing = LedgerSet::options().root(root.path().join("nowhere")).open().refresh();
    assert!(missing.len() == 1 && missing[0].path.is_some() && missing[0].ledger_id.is_none(), "{missing:?}");
}

#[test]
fn an_unreadable_line_is_named_and_reading_goes_on() {
    let root = tempfile::tempdir().unwrap();
    let mut ledger = MadeLedger::new(root.path(), 1);
    let acme = scope("acme");
    ledger.write(&Made::ok(&acme, "chat.send"));
    let line = ledger.line(&Made::ok(&acme, "chat.send"));
    ledger.append(&line.replace("\"writer\":{", "\"writer\":[],\"wrote\":{"));
    ledger.write(&Made::ok(&acme, "chat.send"));
    let page = prod(&of_root(root.path()), "acme").events().page(10).unwrap();
    assert_eq!(page.events.len(), 2);
    assert!(page.unread.len() == 1 && page.unread[0].reason.contains("00000001.ndjson"), "{:?}", page.unread);
}

#[test]
fn a_ledger_is_read_once_though_two_directories_hold_it() {
    let mut random = Random::new();
    let (root, copies) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let ledgers = three(root.path(), &mut random, 40);
    let copy = copies.path().join("copy");
    fs::create_dir_all(copy.join("log")).unwrap();
    for name in ["ledger.json", "log/00000001.ndjson"] {
        fs::copy(ledgers[0].path.join(name), copy.join(name)).unwrap();
    }
    let set = LedgerSet::options().root(root.path()).directory(&copy).open();
    let all = expected(&ledgers, &scope("acme"), |_| true).len() as u64;
    assert_eq!(prod(&set, "acme").events().count().unwrap(), SetCount { events: all, unread: vec![] });
    let duplicates = set.ledgers().into_iter().filter(|ledger| ledger.status == LedgerStatus::Duplicate);
    assert_eq!(duplicates.map(|ledger| ledger.path.unwrap()).collect::<Vec<_>>(), [copy]);
}

#[test]
fn a_log_that_was_cut_and_grew_again_is_read_anew() {
    let root = tempfile::tempdir().unwrap();
    let mut ledgers = vec![MadeLedger::new(root.path(), 1)];
    let acme = scope("acme");
    let set = of_root(root.path());
    for (keep, surface) in [(0, "chat.send"), (4, "chats.send"), (2, "budget.check")] {
        ledgers[0].cut(keep);
        for _ in 0..10 {
            ledgers[0].now += 7;
            ledgers[0].write(&Made::ok(&acme, surface));
        }
        let page = prod(&set, "acme").events().page(100).unwrap();
        assert_eq!(places(&page.events), expected(&ledgers, &acme, |_| true), "{surface}");
        assert_eq!(page.events.last().unwrap().event.surface, surface);
        assert!(page.unread.is_empty(), "{:?}", page.unread);
    }
}

#[test]
fn indexes_in_a_directory_are_used_again_and_shared_directories_do_no_harm() {
    let mut random = Random::new();
    let (root, indexes) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut ledgers = three(root.path(), &mut random, 300);
    let open = || LedgerSet::options().root(root.path()).index_directory(indexes.path()).open();
    for _ in 0..3 {
        let (first, second) = (open(), open());
        for set in [&first, &second] {
            let page = prod(set, "acme").events().page(10_000).unwrap();
            assert_eq!(places(&page.events), expected(&ledgers, &scope("acme"), |_| true));
        }
        assert_eq!(fs::read_dir(indexes.path()).unwrap().count(), 3);
        drop((first, second));
        ledgers[1].write_random(&mut random, &[scope("acme")], 20, 3);
    }
}

/// Two ledgers of one root: the set has one of them as its own and reads the other as that of a stranger,
/// while a thread writes both.
#[test]
fn a_live_ledger_is_read_while_it_is_written() {
    let root = tempfile::tempdir().unwrap();
    let open =
        || Ledger::options().root(root.path()).service("chat", "1").journal_bytes(2 << 20).open().unwrap();
    let (own, other) = (open(), open());
    let set = LedgerSet::of(&own);
    let is_done = AtomicBool::new(false);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            for round in 0..40 {
                for ledger in [&own, &other] {
                    let ctx = ledger.context("acme", "prod").build().unwrap();
                    for _ in 0..=round {
                        ctx.event("chat.send").record().unwrap();
                    }
                    ledger.flush().unwrap();
                }
            }
            is_done.store(true, Ordering::Release);
        });
        let mut before = 0;
        loop {
            let is_last = is_done.load(Ordering::Acquire);
            let events: Vec<_> = prod(&set, "acme").events().iter().unwrap().map(|e| e.unwrap()).collect();
            assert!(places(&events).is_sorted() && events.len() >= before);
            before = events.len();
            for ledger_id in [own.id(), other.id()] {
                let of_one = events.iter().filter(|event| event.event.ledger_id == ledger_id);
                assert!(
                    of_one
                        .map(|event| event.event.seq)
                        .eq(1..=events.iter().filter(|event| event.event.ledger_id == ledger_id).count()
                            as u64)
                );
            }
            if is_last {
                break;
            }
        }
        assert_eq!(before, 2 * (1..=40).sum::<usize>());
    });
    let status = || {
        let summaries = set.ledgers();
        let of = |id| summaries.iter().find(|ledger| ledger.ledger_id == Some(id)).unwrap();
        assert_eq!(of(other.id()).service.as_deref(), Some("chat"));
        assert!(of(other.id()).events >= 820 && of(own.id()).newest_at.is_some());
        (of(own.id()).status.clone(), of(other.id()).status.clone())
    };
    assert_eq!(status(), (LedgerStatus::Own, LedgerStatus::Live));
    let report = set.verify();
    assert!(report.len() == 2 && report.iter().all(LedgerVerification::is_verified), "{report:?}");
    assert!(prod(&set, "acme").verify().iter().all(LedgerVerification::is_verified));
    other.clone().close().unwrap();
    own.clone().close().unwrap();
    assert_eq!(status(), (LedgerStatus::Closed, LedgerStatus::Closed));
    assert_eq!(prod(&set, "acme").events().count().unwrap().events, 2 * 820);
}

#[test]
fn only_the_operator_reads_across_scopes_and_leaves_an_event() {
    let root = tempfile::tempdir().unwrap();
    let own = Ledger::options().root(root.path()).journal_bytes(2 << 20).open().unwrap();
    let mut other = MadeLedger::new(root.path(), 7);
    other.write(&Made::ok(&scope("acme"), "chat.send"));
    other.write(&Made::ok(&Scope::system(), "ledger.opened"));
    own.context("acme", "prod").build().unwrap().event("chat.send").record().unwrap();
    own.context("zeta", "prod").build().unwrap().event("chat.send").record().unwrap();
    let set = LedgerSet::of(&own);
    let operator = set.operator("a test").unwrap();
    own.flush().unwrap();
    let scopes = operator.scopes();
    assert!(scopes.unread.is_empty());
    let counts: Vec<_> =
        scopes.scopes.iter().map(|(scope, events)| (scope.tenant_id().as_str(), *events)).collect();
    assert_eq!(&counts[1..], [("acme", 2), ("zeta", 1)]);
    let opened = operator.system().events().surface("ledger.operator_opened").page(10).unwrap();
    assert_eq!(opened.events.len(), 1);
    assert_eq!(opened.events[0].event.input_value()["reason"], "a test");
    assert_eq!(operator.scope(&scope("zeta")).events().count().unwrap().events, 1);
    assert_eq!(operator.events().surface("chat.send").count().events, 3);
    assert_eq!(operator.events().surface("chat.send").iter().filter_map(Result::ok).count(), 3);
    // A tenant cannot name the system's scope, even with values had from an event of it.
    let system = opened.events[0].event.scope().clone();
    let query = set.scope(system.tenant_id(), system.env()).events();
    assert!(matches!(query.clone().page(1), Err(ReadError::OperatorOnly)));
    assert!(matches!(query.clone().count(), Err(ReadError::OperatorOnly)));
    assert!(matches!(query.iter(), Err(ReadError::OperatorOnly)));
    assert_eq!(of_root(root.path()).operator("nobody records it").unwrap_err(), NoOwnLedger);
    own.close().unwrap();
    assert_eq!(set.operator("the ledger is closed").unwrap_err(), NoOwnLedger);
}
