//! The strategy lock's surfaces: each succeeds and fails with the right code, and its event says so.

use dataset_events::{Access, RequestContext};
use dataset_events_examples::engines::strategy_lock::{
    Lock, LockId, LockState, MAX_OPEN_LOCKS, MAX_REASON_BYTES, StrategyLockError, StrategyName,
};
use dataset_events_examples::engines::{ActionName, ActionPattern};
use serde_json::{Value, json};

use crate::common::{Bench, changes};

const SEND: ActionName = ActionName::from_static("chat.send_message");
const CHAT: ActionPattern = ActionPattern::from_static("chat.*");
const FREEZE: StrategyName = StrategyName::from_static("year_end_freeze");

fn bench() -> (Bench, RequestContext, RequestContext) {
    let bench = Bench::new();
    let (one, two) = (bench.context_of("ops_1", "acme", "prod"), bench.context_of("ops_2", "acme", "prod"));
    (bench, one, two)
}

async fn proposed(bench: &Bench, ctx: &RequestContext) -> Lock {
    let locks = &bench.engines.strategy_lock;
    locks.propose(ctx, &FREEZE, &CHAT, "no new threads before the audit").await.expect("propose")
}

#[tokio::test]
async fn a_lock_is_in_force_from_its_approval_by_a_second_person_to_its_release() {
    let (bench, one, two) = bench();
    let locks = &bench.engines.strategy_lock;
    let lock = proposed(&bench, &one).await;
    assert_eq!((lock.state, lock.version, lock.proposed_by.as_str()), (LockState::Proposed, 1, "ops_1"));
    locks.check(&one, &SEND).await.expect("a proposal stops nothing");

    let refused = locks.approve(&one, &lock.lock_id, 1).await;
    assert!(matches!(refused, Err(StrategyLockError::SelfApproval { .. })), "{refused:?}");
    let approved = locks.approve(&two, &lock.lock_id, 1).await.expect("approve");
    assert_eq!((approved.state, approved.version), (LockState::InForce, 2));
    assert_eq!(approved.approved_by.as_deref(), Some("ops_2"));
    let blocked = locks.check(&one, &SEND).await.expect_err("in force");
    let text =
        format!("chat.send_message is locked in this scope by strategy year_end_freeze ({})", lock.lock_id);
    assert_eq!(blocked.to_string(), text);
    locks.check(&one, &ActionName::from_static("media.store")).await.expect("another engine");
    assert_eq!(locks.list(&one, LockState::InForce, None, 10).await.expect("list"), [approved]);

    locks.release(&one, &lock.lock_id, 2).await.expect("release");
    locks.check(&one, &SEND).await.expect("released");
    assert_eq!(bench.endings("strategy_lock.check"), ["ok", "denied strategy_lock.blocked", "ok", "ok"]);
    assert_eq!(bench.endings("strategy_lock.approve"), ["denied strategy_lock.self_approval", "ok"]);

    let id = lock.lock_id.as_str();
    let event = &bench.ledger.events_of("strategy_lock.propose")[0];
    assert_eq!(event.access, Access::Create);
    assert_eq!(event.input_value()["pattern"], "chat.*");
    assert_eq!(event.input_value()["reason_bytes"], 31);
    let output = json!({"lock_id": id, "version": 1, "updated_at_us": lock.proposed_at_us});
    assert_eq!(event.output_value(), output);
    assert_eq!(changes(event), [("state".into(), Value::Null, json!("proposed"))]);
    let refs: Vec<(&str, &str)> =
        event.source_refs.iter().map(|source| (source.kind.as_str(), source.id.as_str())).collect();
    assert_eq!(refs, [("strategy", "year_end_freeze"), ("strategy_lock", id)]);
    let approvals = bench.ledger.events_of("strategy_lock.approve");
    assert_eq!(changes(&approvals[0]), [], "a refused approval changes nothing");
    assert_eq!(changes(&approvals[1]), [("state".into(), json!("proposed"), json!("in_force"))]);
    let event = &bench.ledger.events_of("strategy_lock.release")[0];
    assert_eq!(event.input_value(), json!({"lock_id": id, "expected_version": 2}));
    assert_eq!(changes(event), [("state".into(), json!("in_force"), json!("released"))]);
    let blocked = &bench.ledger.events_of("strategy_lock.check")[1];
    assert_eq!(blocked.source_refs[1].id, id, "a denial names the lock");
}

#[tokio::test]
async fn a_step_that_is_stale_or_out_of_turn_is_refused() {
    let (bench, one, two) = bench();
    let locks = &bench.engines.strategy_lock;
    let id = proposed(&bench, &one).await.lock_id;
    let out_of_turn = locks.release(&two, &id, 1).await;
    assert!(matches!(
        out_of_turn,
        Err(StrategyLockError::WrongState { expected: LockState::InForce, found: LockState::Proposed, .. })
    ));
    locks.withdraw(&one, &id, 1).await.expect("withdraw");
    for step in [
        locks.approve(&two, &id, 1).await,
        locks.withdraw(&two, &id, 1).await,
        locks.release(&two, &id, 1).await,
    ] {
        assert!(
            matches!(step, Err(StrategyLockError::StaleVersion { expected: 1, found: 2, .. })),
            "{step:?}"
        );
    }
    for step in [locks.approve(&two, &id, 2).await, locks.withdraw(&two, &id, 2).await] {
        assert!(matches!(step, Err(StrategyLockError::WrongState { .. })), "{step:?}");
    }
    let absent: LockId = "lock_absent".parse().expect("a valid id");
    for step in [
        locks.approve(&two, &absent, 1).await,
        locks.withdraw(&two, &absent, 1).await,
        locks.release(&two, &absent, 1).await,
    ] {
        assert!(matches!(step, Err(StrategyLockError::NotFound { .. })), "{step:?}");
    }
    let (stale, state) = ("error strategy_lock.stale_version", "error strategy_lock.wrong_state");
    let absent = "error strategy_lock.not_found";
    assert_eq!(bench.endings("strategy_lock.approve"), [stale, state, absent]);
    assert_eq!(bench.endings("strategy_lock.withdraw"), ["ok", stale, state, absent]);
    assert_eq!(bench.endings("strategy_lock.release"), [state, stale, absent]);
    let withdrawn = locks.list(&one, LockState::Withdrawn, None, 10).await.expect("list");
    assert_eq!(withdrawn[0].updated_by, "ops_1", "what was refused left the lock as it was");
}

#[tokio::test]
async fn of_two_approvals_at_the_same_time_one_counts() {
    let (bench, one, two) = bench();
    let id = proposed(&bench, &one).await.lock_id;
    let three = bench.context_of("ops_3", "acme", "prod");
    let locks = &bench.engines.strategy_lock;
    let (first, second) = tokio::join!(locks.approve(&two, &id, 1), locks.approve(&three, &id, 1));
    assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
    let refused = first.err().or(second.err());
    assert!(matches!(refused, Some(StrategyLockError::StaleVersion { .. })), "{refused:?}");
}

#[tokio::test]
async fn without_a_user_or_a_reason_nothing_is_proposed_or_approved() {
    let (bench, one, _) = bench();
    let locks = &bench.engines.strategy_lock;
    let nobody = bench.ledger.context("acme", "prod").build().expect("a valid scope");
    let refused = locks.propose(&nobody, &FREEZE, &CHAT, "why not").await;
    assert!(matches!(refused, Err(StrategyLockError::UserRequired)), "{refused:?}");
    let id = proposed(&bench, &one).await.lock_id;
    for refused in [
        locks.approve(&nobody, &id, 1).await,
        locks.withdraw(&nobody, &id, 1).await,
        locks.release(&nobody, &id, 1).await,
    ] {
        assert!(matches!(refused, Err(StrategyLockError::UserRequired)), "{refused:?}");
    }
    for reason in [" ", &"r".repeat(MAX_REASON_BYTES + 1)] {
        let refused = locks.propose(&one, &FREEZE, &CHAT, reason).await;
        assert!(matches!(refused, Err(StrategyLockError::InvalidReason { .. })), "{refused:?}");
    }
    let (user, reason) = ("denied strategy_lock.user_required", "error strategy_lock.invalid_reason");
    assert_eq!(bench.endings("strategy_lock.propose"), [user, "ok", reason, reason]);
    assert_eq!(bench.endings("strategy_lock.approve"), [user]);
}

#[tokio::test]
async fn without_a_ledger_to_record_it_no_lock_takes_a_step() {
    let (bench, one, two) = bench();
    let locks = &bench.engines.strategy_lock;
    let id = proposed(&bench, &one).await.lock_id;
    bench.ledger.ledger().clone().close().expect("close the ledger");
    for refused in [
        locks.propose(&one, &FREEZE, &CHAT, "again").await,
        locks.approve(&two, &id, 1).await,
        locks.withdraw(&two, &id, 1).await,
        locks.release(&two, &id, 1).await,
    ] {
        assert!(matches!(refused, Err(StrategyLockError::Ledger(_))), "{refused:?}");
    }
    // A check does not wait for the disk, and finds what there was.
    locks.check(&one, &SEND).await.expect("not in force");
    assert_eq!(locks.list(&one, LockState::Proposed, None, 10).await.expect("list").len(), 1);
}

#[tokio::test]
async fn a_scope_has_no_more_open_locks_than_a_check_compares() {
    let (bench, one, _) = bench();
    let locks = &bench.engines.strategy_lock;
    let first = proposed(&bench, &one).await;
    for _ in 1..MAX_OPEN_LOCKS {
        proposed(&bench, &one).await;
    }
    let refused = locks.propose(&one, &FREEZE, &CHAT, "one more").await;
    assert!(matches!(refused, Err(StrategyLockError::TooMany)), "{refused:?}");
    let endings = bench.endings("strategy_lock.propose");
    assert_eq!(endings.last().map(String::as_str), Some("error strategy_lock.too_many"));
    proposed(&bench, &bench.context_of("ops_1", "globex", "prod")).await;
    locks.withdraw(&one, &first.lock_id, 1).await.expect("withdraw");
    proposed(&bench, &one).await;
}

#[tokio::test]
async fn locks_are_listed_in_pages() {
    let (bench, one, _) = bench();
    let locks = &bench.engines.strategy_lock;
    let mut all = Vec::new();
    for _ in 0..5 {
        all.push(proposed(&bench, &one).await);
    }
    let state = LockState::Proposed;
    let page = locks.list(&one, state, None, 2).await.expect("the first page");
    assert_eq!(page, all[..2]);
    let page = locks.list(&one, state, Some(&page[1].lock_id), 2).await.expect("the second page");
    assert_eq!(page, all[2..4]);
    // A place in the list stays one when its lock goes on.
    locks.withdraw(&one, &all[3].lock_id, 1).await.expect("withdraw");
    let page = locks.list(&one, state, Some(&all[3].lock_id), 2).await.expect("the last page");
    assert_eq!(page, all[4..]);
    for limit in [0, 201] {
        let refused = locks.list(&one, state, None, limit).await;
        assert!(matches!(refused, Err(StrategyLockError::InvalidPage { .. })), "{refused:?}");
    }
    let foreign = bench.context_of("ops_1", "globex", "prod");
    let refused = locks.list(&foreign, state, Some(&all[0].lock_id), 2).await;
    assert!(matches!(refused, Err(StrategyLockError::NotFound { .. })), "{refused:?}");
    let (ok, page) = ("ok", "error strategy_lock.invalid_page");
    let endings = bench.endings("strategy_lock.list");
    assert_eq!(endings, [ok, ok, ok, page, page, "error strategy_lock.not_found"]);
}
