//! State of one scope is not there in another: neither in another tenant, nor in another env of the same.

use crate::common::Bench;
use dataset_events::RequestContext;
use dataset_events_examples::engines::budget::{BudgetError, Currency, Usage, UsageKind};
use dataset_events_examples::engines::chat::{ChatError, ReplyChunk, ThreadId};
use dataset_events_examples::engines::kill_switch::{Change, KillSwitchError, Reason, Target};
use futures::StreamExt as _;
use rust_decimal::Decimal;

/// The scopes that must not see what is in acme/prod.
const FOREIGN: [(&str, &str); 3] = [("globex", "prod"), ("acme", "staging"), ("globex", "staging")];

async fn allow_spending(bench: &Bench, ctx: &RequestContext) {
    let policy = bench.engines.budget.set_policy(ctx, Decimal::ONE_HUNDRED, Currency::EUR);
    policy.await.expect("set a policy");
}

fn is_not_found<T: std::fmt::Debug>(result: Result<T, ChatError>, asked: &ThreadId) -> bool {
    matches!(result, Err(ChatError::ThreadNotFound { ref thread_id }) if thread_id == asked)
}

#[tokio::test]
async fn a_thread_is_found_in_its_own_scope_only() {
    let bench = Bench::new();
    let chat = &bench.engines.chat;
    let own = bench.context("acme", "prod");
    allow_spending(&bench, &own).await;
    let thread = chat.create_thread(&own, "quarterly numbers").await.expect("create a thread");
    let id = &thread.thread_id;
    chat.send_message(&own, id, "The numbers are good this quarter.").await.expect("send");

    for (tenant, env) in FOREIGN {
        let ctx = bench.context(tenant, env);
        allow_spending(&bench, &ctx).await;
        assert!(is_not_found(chat.send_message(&ctx, id, "mine?").await, id), "{tenant}/{env}");
        assert!(is_not_found(chat.list_messages(&ctx, id, 0, 10).await, id), "{tenant}/{env}");
        let image = b"GIF89a\x40\x01\xf0\0";
        assert!(is_not_found(chat.attach_image(&ctx, id, image).await, id), "{tenant}/{env}");
        let reply: Vec<Result<ReplyChunk, ChatError>> = chat.stream_reply(&ctx, id).collect().await;
        assert_eq!(reply.len(), 1, "{tenant}/{env}: {reply:?}");
        assert!(reply.into_iter().all(|item| is_not_found(item, id)), "{tenant}/{env}");
        assert_eq!(chat.list_threads(&ctx, None, 10).await.expect("list"), [], "{tenant}/{env}");
    }
    assert_eq!(chat.list_messages(&own, id, 0, 10).await.expect("list").len(), 1);
    assert_eq!(chat.list_threads(&own, None, 10).await.expect("list").len(), 1);
}

#[tokio::test]
async fn a_budget_is_spent_in_its_own_scope_only() {
    let bench = Bench::new();
    let budget = &bench.engines.budget;
    let own = bench.context("acme", "prod");
    allow_spending(&bench, &own).await;
    budget.record_usage(&own, &Usage::new(UsageKind::Manual, Decimal::from(99))).await.expect("record");

    for (tenant, env) in FOREIGN {
        let ctx = bench.context(tenant, env);
        let refused = budget.check(&ctx, Decimal::ONE).await;
        assert!(matches!(refused, Err(BudgetError::PolicyNotFound)), "{tenant}/{env}: {refused:?}");
        allow_spending(&bench, &ctx).await;
        let left = budget.check(&ctx, Decimal::from(50)).await.expect("within the limit");
        assert_eq!(left.amount(), Decimal::from(50), "{tenant}/{env}");
        assert_eq!(budget.summary(&ctx).await.expect("summary").kinds, [], "{tenant}/{env}");
    }
    let refused = budget.check(&own, Decimal::from(2)).await;
    assert!(matches!(refused, Err(BudgetError::ThresholdExceeded { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_kill_switch_stops_its_own_scope_only() {
    let bench = Bench::new();
    let switch = &bench.engines.kill_switch;
    let own = bench.context("acme", "prod");
    let engage = Change::Engage(Reason::Incident);
    switch.update(&own, &Target::ALL, engage, Some(0)).await.expect("engage");
    let blocked = switch.check(&own, &Target::CHAT).await;
    assert!(matches!(blocked, Err(KillSwitchError::Blocked { .. })), "{blocked:?}");

    for (tenant, env) in FOREIGN {
        let ctx = bench.context(tenant, env);
        switch.check(&ctx, &Target::CHAT).await.expect("not blocked here");
        // Version 0: never set in this scope.
        let release = Change::Release(Reason::Incident);
        let set = switch.update(&ctx, &Target::ALL, release, Some(0)).await.expect("release");
        assert_eq!(set.version, 1, "{tenant}/{env}");
    }
    assert!(switch.check(&own, &Target::CHAT).await.is_err(), "still engaged at home");
}
