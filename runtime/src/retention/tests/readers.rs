//! Who reads a log while it is cut goes on from the cut, by every way there is.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{LATER, on_disk, retain, write};
use crate::event::EventPlace;
use crate::ids::{Env, TenantId};
use crate::ledger::Ledger;
use crate::ledger_set::LedgerSet;
use crate::log::verify::{VerifyOptions, verify};
use crate::query::StoredEvent;
use crate::reader::LedgerReader;

fn acme() -> (TenantId, Env) {
    (TenantId::from_static("acme"), Env::from_static("prod"))
}

/// The sequence numbers that a reader of each kind gives, oldest first and newest first, and by pages.
fn by_every_way(ledger: &Ledger, foreign: &LedgerSet) -> Vec<(&'static str, Vec<u64>)> {
    let (tenant, env) = acme();
    let seq = |stored: StoredEvent| stored.event.seq;
    let mut ways = Vec::new();
    let reader = LedgerReader::open(ledger.path().expect("on disk")).expect("a ledger");
    for (name, scope) in [("own", ledger.scope(&tenant, &env)), ("reader", reader.scope(&tenant, &env))] {
        let all: Vec<u64> = scope.events().iter().map(|event| seq(event.expect(name))).collect();
        assert_eq!(scope.events().count().expect(name), all.len() as u64, "{name}");
        ways.push((name, all));
        let newest = scope.events().newest_first().iter().map(|event| seq(event.expect(name)));
        let mut newest: Vec<u64> = newest.collect();
        newest.reverse();
        ways.push((name, newest));
    }
    for (name, set) in [("own set", &LedgerSet::of(ledger)), ("foreign set", foreign)] {
        let scope = set.scope(&tenant, &env);
        let all: Vec<u64> = scope.events().iter().expect(name).map(|event| seq(event.expect(name))).collect();
        let count = scope.events().count().expect(name);
        assert_eq!((count.events, count.unread), (all.len() as u64, Vec::new()), "{name}");
        ways.push((name, all));
        let (mut paged, mut next) = (Vec::new(), None);
        loop {
            let query = scope.events();
            let query = match next {
                Some(place) => query.resume(place),
                None => query,
            };
            let page = query.page(7).expect(name);
            assert!(page.unread.is_empty(), "{name}: {:?}", page.unread);
            paged.extend(page.events.into_iter().map(seq));
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        ways.push((name, paged));
    }
    ways
}

fn set_of(root: &Path) -> LedgerSet {
    LedgerSet::options().root(root).open()
}

#[test]
fn every_reader_goes_on_from_the_cut() {
    let root = tempfile::tempdir().expect("a directory");
    let ledger = on_disk(root.path(), 1).open().expect("open");
    let foreign = set_of(root.path());
    let (tenant, env) = acme();
    write(&ledger, 60);
    let own = ledger.scope(&tenant, &env);
    let before: Vec<StoredEvent> = own.events().iter().map(|event| event.expect("readable")).collect();
    assert_eq!(before.len(), 30);
    for (name, seqs) in by_every_way(&ledger, &foreign) {
        assert_eq!(seqs, (1..=30).collect::<Vec<u64>>(), "{name}");
    }
    // These have begun before the cut, and are read to their end behind it.
    let mut begun: Vec<_> =
        [own.events(), own.events().newest_first()].map(|query| query.iter()).into_iter().collect();
    begun.iter_mut().for_each(|events| drop(events.next().expect("one").expect("readable")));
    let mut of_set = foreign.scope(&tenant, &env).events().iter().expect("readable");
    of_set.next().expect("one").expect("readable");

    let cut = retain(&ledger, LATER).cut.expect("a cut");
    let kept = |stored: &&StoredEvent| stored.position >= cut.position;
    let first = before.iter().find(kept).map_or(31, |stored| stored.event.seq);
    assert!(first > 10, "much was dropped: {first}");
    for events in begun {
        for event in events {
            event.expect("readable to the end");
        }
    }
    assert_eq!(of_set.filter(Result::is_err).count(), 0);

    write(&ledger, 10);
    let expected: Vec<u64> = (first..=35).collect();
    for (name, seqs) in by_every_way(&ledger, &foreign) {
        assert_eq!(seqs, expected, "{name}");
    }
    let dropped = &before[3];
    let last = own.events().newest_first().iter().next().expect("one").expect("readable");
    for (name, set) in [("own set", &LedgerSet::of(&ledger)), ("foreign set", &foreign)] {
        let scope = set.scope(&tenant, &env);
        let place = EventPlace::of(&dropped.event);
        assert!(scope.event(ledger.id(), 4).expect(name).is_none(), "{name}");
        assert!(scope.event_at(place).expect(name).is_none(), "{name}");
        assert!(scope.find_event(dropped.event.event_id, 1_000).expect(name).is_none(), "{name}");
        assert_eq!(scope.event(ledger.id(), 35).expect(name).expect(name).line, last.line, "{name}");
        let page = scope.events().resume(place).page(3).expect(name);
        let seqs: Vec<u64> = page.events.iter().map(|stored| stored.event.seq).collect();
        assert_eq!(seqs, [first, first + 1, first + 2], "{name}: behind a dropped event");
        let page = scope.events().newest_first().resume(place).page(3).expect(name);
        assert!(page.events.is_empty() && page.next.is_none(), "{name}: before a dropped event");
        let trace =
            |stored: &StoredEvent| scope.events().trace(stored.event.trace_id).count().expect(name).events;
        assert!(trace(&last) > 0, "{name}");
        assert_eq!(
            scope.events().request(&dropped.event.request_id).count().expect(name).unread,
            [],
            "{name}"
        );
    }
    let health = ledger.index_health();
    assert!(health.is_ok && health.rebuilds == 0, "{health:?}");
    let mut counts = ledger.operator("test").event_counts(Default::default());
    ledger.flush().expect("flush");
    counts.refresh().expect("readable");
    let report = ledger.verify().expect("readable");
    assert_eq!((counts.total(), counts.dropped()), (report.events, cut.events));
    ledger.close().expect("close");
    assert!(
        verify(root.path().join(super::LEDGER.to_string()), &VerifyOptions::new())
            .expect("readable")
            .is_verified()
    );
    let ledger = on_disk(root.path(), 9).open().expect("open again");
    for (name, seqs) in by_every_way(&ledger, &foreign) {
        assert_eq!(seqs, expected, "{name}, opened again");
    }
}

#[test]
fn readers_beside_passes_meet_no_error_and_no_hole() {
    let root = tempfile::tempdir().expect("a directory");
    let ledger = on_disk(root.path(), 1).open().expect("open");
    let is_done = AtomicBool::new(false);
    let (tenant, env) = acme();
    std::thread::scope(|threads| {
        threads.spawn(|| {
            for _ in 0..20 {
                write(&ledger, 16);
                retain(&ledger, LATER);
            }
            is_done.store(true, Ordering::Release);
        });
        for kind in 0..3 {
            let (ledger, is_done, tenant, env, root) = (&ledger, &is_done, &tenant, &env, root.path());
            threads.spawn(move || {
                let sets = [LedgerSet::of(ledger), set_of(root)];
                let mut rounds = 0;
                while !is_done.load(Ordering::Acquire) || rounds == 0 {
                    rounds += 1;
                    let seqs: Vec<u64> = if kind == 2 {
                        let reader = LedgerReader::open(ledger.path().expect("on disk")).expect("a ledger");
                        let events = reader.scope(tenant, env).events().iter();
                        events.map(|event| event.expect("readable").event.seq).collect()
                    } else {
                        let events = sets[kind].scope(tenant, env).events().iter().expect("readable");
                        events.map(|event| event.expect("readable").event.seq).collect()
                    };
                    // What vanishes while it is read leaves a later beginning, never other events.
                    assert!(seqs.windows(2).all(|pair| pair[0] < pair[1]), "{seqs:?}");
                }
            });
        }
    });
    let health = ledger.index_health();
    assert!(health.is_ok, "{health:?}");
    assert!(ledger.verify().expect("readable").is_verified());
}
