//! Cuts taken by hand, with the writer's part played by the test.

use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{Receiver, sync_channel};
use std::task::{Context, Poll, Waker};

use super::*;
use crate::clock::Clock;
use crate::id_source::IdSource;
use crate::ids::LedgerId;
use crate::journal::arena::Urgency;
use crate::journal::control::{Control, Layout};
use crate::journal::os::Mapping;
use crate::ledger::shared::encode_own;
use crate::ledger::waiters::Settled;

const LEDGER: LedgerId = LedgerId::from_uuid(uuid::Uuid::from_u128(0x55));

fn sequencer(journal_bytes: usize) -> (Sequencer, Receiver<Order>) {
    let layout = Layout::of(journal_bytes);
    let mapping = Mapping::anonymous(layout.bytes).unwrap();
    Control::new(&mapping, layout).format(LEDGER, 1, "boot", b"{}");
    let arena = Arena::new(mapping, layout, LEDGER, 1).unwrap();
    let clock = Clock::Stepped { start_ns: 1_000_000, step_ns: 1_000, now: AtomicU64::new(0) };
    let ids = IdSource::Stepped { seed: 1, next: AtomicU64::new(0) };
    let shared = Arc::new(LedgerShared::new(LEDGER, arena, clock, ids, [0; 32], b"{}".to_vec(), false));
    let (to_writer, orders) = sync_channel(1_000);
    let sequencer = Sequencer {
        heads: Heads::new(LEDGER),
        position: LogPosition::START,
        segment_bytes: u64::MAX,
        interval: Duration::from_millis(50),
        to_writer,
        buffers: Buffers::default(),
        state: SequencerState::new(&shared.arena),
        handed_cut: 0,
        is_closing: false,
        shared,
    };
    (sequencer, orders)
}

/// Publishes a record with about `bytes` of input; false when there is no room for it.
fn publish(shared: &Arc<LedgerShared>, kind: Kind, bytes: usize) -> bool {
    let input = format!("{{\"text\":\"{}\"}}", "x".repeat(bytes));
    let own = OwnEvent { tenant: "acme", env: "prod", ..OwnEvent::system("probe.call", &input) };
    let encoded = encode_own(&own, &shared.clock, &shared.id_source);
    let mut record = Record::decode(&encoded, None).unwrap();
    record.completed_ticks = 0;
    record.kind = kind;
    shared.publish(&mut record, false).is_ok()
}

fn groups(orders: &Receiver<Order>) -> Vec<Group> {
    let orders = orders.try_iter().filter_map(|order| match order {
        Order::Group(group) => Some(*group),
        _ => None,
    });
    orders.collect()
}

fn text(group: &Group) -> &str {
    std::str::from_utf8(&group.bytes).unwrap()
}

/// What the writer does for the journal when a group is durable.
fn settle(shared: &LedgerShared, groups: &[Group]) {
    for group in groups {
        for block in &group.after.freed {
            shared.arena.release(*block);
        }
        for (slot, lost) in &group.after.reported {
            shared.arena.control().set_reported(*slot, *lost);
        }
        if !group.after.freed.is_empty() {
            shared.room_made(group.after.largest_scope);
        }
    }
}

#[test]
fn losses_are_settled_with_the_group_that_tells_of_them() {
    let (mut sequencer, orders) = sequencer(32 << 20);
    let shared = Arc::clone(&sequencer.shared);
    for _ in 0..500 {
        assert!(publish(&shared, Kind::Completion, 12_000));
    }
    shared.arena.count_loss(b"acme", b"prod", 5);
    sequencer.cut(0).unwrap();
    let groups = groups(&orders);
    assert!(groups.len() > 1, "one group shows nothing");
    for group in &groups {
        assert_eq!(text(group).contains("ledger.gap"), !group.after.reported.is_empty());
    }
}

#[test]
fn what_is_refused_at_once_is_no_loss_and_is_taken_when_there_is_room_again() {
    let (mut sequencer, orders) = sequencer(2 << 20);
    let shared = Arc::clone(&sequencer.shared);
    while publish(&shared, Kind::Completion, 12_000) {}
    let shed = shared.counts.shed.load(std::sync::atomic::Ordering::Relaxed);
    let own = OwnEvent { tenant: "acme", env: "prod", ..OwnEvent::system("probe.later", "{}") };
    let encoded = encode_own(&own, &shared.clock, &shared.id_source);
    let mut record = Record::decode(&encoded, None).unwrap();
    record.completed_ticks = 0;
    while shared.try_publish(&mut record).is_ok() {}
    assert_eq!(shared.counts.shed.load(std::sync::atomic::Ordering::Relaxed), shed);
    assert_eq!(shared.counts.waits.load(std::sync::atomic::Ordering::Relaxed), 0);
    sequencer.cut(0).unwrap();
    settle(&shared, &groups(&orders));
    shared.try_publish(&mut record).unwrap();
    shared.set_closed();
    assert!(shared.try_publish(&mut record).is_err());
    assert_eq!(shared.counts.after_close.load(std::sync::atomic::Ordering::Relaxed), 0);
}

#[test]
fn losses_are_told_at_close_also_under_pressure() {
    let (mut sequencer, orders) = sequencer(2 << 20);
    let shared = Arc::clone(&sequencer.shared);
    while publish(&shared, Kind::Completion, 12_000) {}
    assert!(shared.is_shedding());
    sequencer.is_closing = true;
    sequencer.cut(0).unwrap();
    assert!(groups(&orders).iter().any(|group| text(group).contains("ledger.gap")));
}

#[test]
fn shedding_ends_when_nothing_more_can_come_back() {
    let (mut sequencer, orders) = sequencer(2 << 20);
    let shared = Arc::clone(&sequencer.shared);
    // Threads that hold a block each and rest.
    let mut idle = Vec::new();
    while !shared.arena.is_scarce() {
        idle.push(shared.arena.lease(Urgency::Normal).unwrap());
    }
    let mut published = 0;
    while publish(&shared, Kind::Completion, 12_000) {
        published += 1;
    }
    assert!(shared.is_shedding());
    sequencer.cut(0).unwrap();
    let first = groups(&orders);
    assert_eq!(first.iter().map(|group| group.events).sum::<u64>(), published);
    settle(&shared, &first);
    sequencer.cut(0).unwrap();
    let second = groups(&orders);
    assert!(!shared.is_shedding());
    assert!(second.iter().any(|group| text(group).contains("\"lost\":1,")), "the loss is never told");
}

#[test]
fn attempts_that_move_to_the_log_keep_to_the_size_of_a_group() {
    let (mut sequencer, orders) = sequencer(64 << 20);
    let shared = Arc::clone(&sequencer.shared);
    for _ in 0..1_000 {
        assert!(publish(&shared, Kind::Attempt, 12_000));
    }
    sequencer.is_closing = true;
    sequencer.cut(0).unwrap();
    let mut log = String::new();
    for group in groups(&orders) {
        // What recovery cuts as a torn tail is at most two groups.
        assert!(group.bytes.len() < GROUP_BYTES + 100_000, "{}", group.bytes.len());
        log.push_str(text(&group));
    }
    let open = sequencer.open_attempts();
    assert_eq!(open.len(), 1_000);
    for attempt in open {
        let line = &log[attempt.position.offset as usize..];
        let line = &line[..line.find('\n').unwrap()];
        assert_eq!(StoredAttempt::parse(line.as_bytes()).unwrap().parts.event_id, attempt.event_id);
    }
}

#[test]
fn waiters_of_a_group_that_goes_under_are_told() {
    let slot = Arc::<DurableSlot>::default();
    let group = {
        let mut group = Group::default();
        group.waiters.push(Arc::clone(&slot));
        group
    };
    drop(group);
    let mut cx = Context::from_waker(Waker::noop());
    assert_eq!(slot.poll(&mut cx), Poll::Ready(Settled::Failed));
}

#[test]
fn abandoned_attempts_keep_to_the_size_of_a_group() {
    let (mut sequencer, orders) = sequencer(64 << 20);
    let shared = Arc::clone(&sequencer.shared);
    for _ in 0..1_000 {
        assert!(publish(&shared, Kind::Attempt, 12_000));
    }
    sequencer.cut(0).unwrap();
    *lock(&shared.abandoned) = sequencer.state.open.keys().copied().collect();
    sequencer.cut(0).unwrap();
    let groups = groups(&orders);
    assert_eq!(groups.iter().map(|group| group.events).sum::<u64>(), 1_000);
    assert!(groups[1..].iter().all(|group| group.bytes.len() < GROUP_BYTES + 100_000));
}
