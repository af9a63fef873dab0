//! Legal holds, and the cap on disk use.

use std::sync::Arc;

use super::{LATER, open, options, retain, segments, verified, write};
use crate::ids::Scope;
use crate::ledger::{Health, Ledger, LedgerError};
use crate::log::heads::tests::scope;
use crate::log::storage::{MemoryStorage, Storage};
use crate::retention::{Kept, RetentionError};

fn surfaces_of_system(ledger: &Ledger) -> Vec<String> {
    ledger.flush().expect("flush");
    let events = ledger.operator("test").system().events().iter();
    events.map(|event| event.expect("readable").event.surface.clone()).collect()
}

#[test]
fn a_held_scope_keeps_its_segments_until_it_is_released() {
    let storage = MemoryStorage::default();
    let ledger = open(Arc::new(storage.clone()), 1).expect("open");
    // The first segments are of others; the held scope has one event behind them.
    write(&ledger, 40);
    let held = scope("initech", "prod");
    ledger.context("initech", "prod").build().expect("valid").event("probe.one").record().expect("recorded");
    ledger.flush().expect("flush");
    let first = *segments(&storage).last().expect("a segment");
    write(&ledger, 40);
    assert!(first > 1 && *segments(&storage).last().expect("a segment") > first);

    ledger.hold(&held, "case 12").expect("held");
    ledger.hold(&held, "again").expect("held already");
    let holds = ledger.holds().expect("readable");
    assert_eq!((holds.len(), holds[0].reason.as_str(), &holds[0].scope), (1, "case 12", &held));
    let done = retain(&ledger, LATER);
    assert_eq!(done.kept, Kept::Held { segment: first, scope: held.clone() });
    assert_eq!(done.cut.expect("what lies before goes").position.segment, first);
    assert_eq!(segments(&storage)[0], first);
    // It outlives the process.
    ledger.close().expect("close");
    let ledger = open(Arc::new(storage.clone()), 2).expect("open again");
    ledger.flush().expect("the index has read it");
    for _ in 0..2 {
        let done = retain(&ledger, LATER);
        assert_eq!((done.cut, done.kept), (None, Kept::Held { segment: first, scope: held.clone() }));
    }
    assert!(!ledger.release(&scope("acme", "prod"), "never held").expect("readable"));
    assert!(ledger.release(&held, "case 12 is closed").expect("released"));
    let told = surfaces_of_system(&ledger);
    for surface in ["ledger.hold_placed", "ledger.hold_released"] {
        assert_eq!(told.iter().filter(|told| *told == surface).count(), 1, "{told:?}");
    }
    assert!(retain(&ledger, LATER).cut.is_some());
    assert!(segments(&storage)[0] > first);
    assert_eq!(ledger.retention().cuts, 1);
    verified(&storage);
}

#[test]
fn a_held_attempt_keeps_its_segment_too() {
    use crate::draft::{CallState, End, Operation, ScopeSource};
    use crate::surface::{Access, Guarantee};

    let storage = MemoryStorage::default();
    let ledger = open(Arc::new(storage.clone()), 1).expect("open");
    let ctx = ledger.context("initech", "prod").build().expect("valid");
    let (access, guarantee) = (Access::Write, Guarantee::Durable);
    let operation = Operation { surface: "probe.long", access, guarantee, site: None };
    let mut state = CallState::begin(&ScopeSource::Context(&ctx), operation, None).expect("not off");
    state.admit_blocking().expect("admitted");
    write(&ledger, 40);
    let outcome = crate::event::Outcome::Ok;
    state.finish_blocking(&End { outcome, code: None, message: None, items: None });
    write(&ledger, 20);
    let held = scope("initech", "prod");
    ledger.hold(&held, "case 13").expect("held");
    assert_eq!(retain(&ledger, LATER).kept, Kept::Held { segment: 1, scope: held });
}

#[test]
fn nothing_is_dropped_while_the_holds_cannot_be_read() {
    let storage = MemoryStorage::default();
    let ledger = open(Arc::new(storage.clone()), 1).expect("open");
    write(&ledger, 40);
    for bytes in [&b"{"[..], b"{\"schema_version\":9,\"kind\":\"holds\",\"ledger_id\":\"0190b5a0-0000-7000-8000-000000000001\",\"holds\":[]}"] {
        storage.replace("holds.json", bytes).expect("write");
        let error = ledger.owner.retention.run_at(LATER).expect_err("holds that nobody can read");
        assert!(matches!(error, RetentionError::Holds { .. }), "{error}");
    }
    assert_eq!(segments(&storage)[0], 1);
    assert!(ledger.retention().error.is_some());
    assert!(ledger.hold(&Scope::system(), "now").is_err());
}

#[test]
fn a_cap_warns_before_it_and_is_a_full_disk_at_it_until_something_is_dropped() {
    const CAP: u64 = 1 << 20;
    let storage = MemoryStorage::default();
    let ledger = options(Arc::new(storage.clone()), 1).max_disk_bytes(CAP).open().expect("open");
    let now = 2_000_000;
    retain(&ledger, now);
    let status = ledger.retention();
    assert_eq!((status.max_disk_bytes, status.is_near_cap), (Some(CAP), false));
    // 850 KiB are over 80 %.
    write(&ledger, 205);
    for _ in 0..2 {
        retain(&ledger, now);
        let status = ledger.retention();
        assert!(
            status.is_near_cap && status.disk_bytes > CAP * 8 / 10 && status.disk_bytes < CAP,
            "{status:?}"
        );
    }
    let told = surfaces_of_system(&ledger);
    assert_eq!(told.iter().filter(|surface| *surface == "ledger.disk_filling").count(), 1, "{told:?}");

    let ctx = ledger.context("acme", "prod").build().expect("valid");
    let text = "x".repeat(4_000);
    let mut flushed = Ok(());
    for _ in 0..80 {
        ctx.event("probe.write").input("text", &text).record().expect("the journal takes it");
        flushed = ledger.flush();
        if flushed.is_err() {
            break;
        }
    }
    assert!(
        matches!(&flushed, Err(LedgerError::NoRoom { reason }) if reason.contains("max_disk_bytes")),
        "{flushed:?}"
    );
    assert!(matches!(ledger.health(), Health::Failed { .. }));
    // Nothing is old enough: the promise to keep stands.
    assert_eq!(retain(&ledger, now).cut, None);
    // Old enough, everything but the newest segment goes, although the event of it has to wait for that room.
    assert!(retain(&ledger, LATER).cut.is_some());
    ledger.owner.shared.signal.wait_until_writing(std::time::Duration::from_secs(20));
    ledger.flush().expect("it goes on by itself");
    assert_eq!(ledger.health(), Health::Green);
    retain(&ledger, LATER);
    let status = ledger.retention();
    assert!(!status.is_near_cap && status.disk_bytes < CAP / 2, "{status:?}");
    assert_eq!(super::told_of(&ledger), [1]);
    ledger.close().expect("close");
    verified(&storage);
    let ledger = open(Arc::new(storage.clone()), 2).expect("open again");
    assert_eq!(super::told_of(&ledger), [1], "it is told once");
}
