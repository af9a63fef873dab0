//! The chat's surfaces: each succeeds and fails with the right code, and its event says so.

use dataset_events::{Access, Guarantee, Outcome};
use dataset_events_examples::engines::Engines;
use dataset_events_examples::engines::budget::{Currency, UsageKind};
use dataset_events_examples::engines::chat::{ChatError, MAX_BODY_BYTES, ReplyChunk, Thread, ThreadId};
use dataset_events_examples::engines::gate::GateError;
use dataset_events_examples::engines::kill_switch::{Change, Reason, Target};
use futures::StreamExt as _;
use rust_decimal::Decimal;
use serde_json::json;

use crate::common::Bench;
use crate::script::GIF;

async fn bench_with_thread() -> (Bench, dataset_events::RequestContext, Thread) {
    let bench = Bench::new();
    let ctx = bench.context("acme", "prod");
    let policy = bench.engines.budget.set_policy(&ctx, Decimal::ONE, Currency::EUR).await;
    policy.expect("set a policy");
    let thread = bench.engines.chat.create_thread(&ctx, "numbers").await.expect("create a thread");
    (bench, ctx, thread)
}

fn absent() -> ThreadId {
    "th_absent".parse().expect("a valid thread id")
}

#[tokio::test]
async fn create_thread() {
    let (bench, ctx, thread) = bench_with_thread().await;
    let chat = &bench.engines.chat;
    assert!(matches!(chat.create_thread(&ctx, " ").await, Err(ChatError::InvalidTitle { len_bytes: 1 })));
    let too_long = "t".repeat(257);
    assert!(matches!(chat.create_thread(&ctx, &too_long).await, Err(ChatError::InvalidTitle { .. })));
    let engage = Change::Engage(Reason::Maintenance);
    bench.engines.kill_switch.update(&ctx, &Target::CHAT, engage, None).await.expect("engage");
    assert!(matches!(chat.create_thread(&ctx, "more").await, Err(ChatError::Gate(GateError::KillSwitch(_)))));

    let invalid = "error chat.invalid_title";
    assert_eq!(bench.endings("chat.create_thread"), ["ok", invalid, invalid, "denied kill_switch.blocked"]);
    let events = bench.ledger.events();
    let event = events.iter().find(|event| event.surface == "chat.create_thread").expect("recorded");
    assert_eq!(event.access, Access::Create);
    assert_eq!(event.input_value()["title_bytes"], 7);
    assert_eq!(event.output_value()["thread_id"], json!(thread.thread_id));
    assert_eq!(event.source_refs[0].id, thread.thread_id.as_str());
}

#[tokio::test]
async fn send_message() {
    let (bench, ctx, thread) = bench_with_thread().await;
    let chat = &bench.engines.chat;
    let id = &thread.thread_id;
    let sent = chat.send_message(&ctx, id, "The numbers are good.").await.expect("send");
    assert_eq!(sent.position, 1);
    assert!(matches!(chat.send_message(&ctx, id, "\n").await, Err(ChatError::EmptyMessage)));
    let too_long = "x".repeat(MAX_BODY_BYTES + 1);
    let refused = chat.send_message(&ctx, id, &too_long).await;
    assert!(matches!(refused, Err(ChatError::MessageTooLong { .. })));
    let refused = chat.send_message(&ctx, &absent(), "Hello?").await;
    assert!(matches!(refused, Err(ChatError::ThreadNotFound { .. })));
    assert_eq!(
        bench.endings("chat.send_message"),
        ["ok", "error chat.empty_message", "error chat.message_too_long", "error chat.thread_not_found"]
    );

    let events = bench.ledger.events();
    let event = events.iter().find(|event| event.surface == "chat.send_message").expect("recorded");
    assert_eq!(event.access, Access::Create);
    assert_eq!(event.input_value()["thread_id"], json!(id));
    assert_eq!(event.input_value()["body_bytes"], 21);
    assert_eq!(event.output_value(), json!({"message_id": sent.message_id, "position": 1}));
    let refs: Vec<(&str, &str)> =
        event.source_refs.iter().map(|source| (source.kind.as_str(), source.id.as_str())).collect();
    assert_eq!(refs, [("thread", id.as_str())]);
    assert_eq!(event.user_id().map(|user| user.as_str()), Some("u_1"));
    // The gate, the data and the charge are calls inside this one, in its trace.
    let children = events.iter().filter(|child| child.parent_span_id == Some(event.span_id));
    let children: Vec<&str> = children.map(|child| child.surface.as_str()).collect();
    assert_eq!(children, ["gate.pass", "nexus.read", "nexus.write", "budget.record_usage"]);
}

#[tokio::test]
async fn send_message_without_budget_is_denied_and_keeps_nothing() {
    let (bench, ctx, thread) = bench_with_thread().await;
    let Bench { engines, .. } = &bench;
    engines.budget.set_policy(&ctx, Decimal::ZERO, Currency::EUR).await.expect("cap the budget");
    let refused = engines.chat.send_message(&ctx, &thread.thread_id, "One more.").await;
    assert!(matches!(refused, Err(ChatError::Gate(GateError::Budget(_)))), "{refused:?}");
    assert_eq!(bench.endings("chat.send_message"), ["denied budget.threshold_exceeded"]);
    let messages = engines.chat.list_messages(&ctx, &thread.thread_id, 0, 10).await.expect("list");
    assert_eq!(messages, []);
}

#[tokio::test]
async fn attach_image() {
    let (bench, ctx, thread) = bench_with_thread().await;
    let chat = &bench.engines.chat;
    let id = &thread.thread_id;
    chat.attach_image(&ctx, id, GIF).await.expect("attach");
    let refused = chat.attach_image(&ctx, id, b"<svg/>").await;
    assert!(matches!(refused, Err(ChatError::UnsupportedImage { len_bytes: 6 })));
    assert_eq!(bench.endings("chat.attach_image"), ["ok", "error chat.unsupported_image"]);
    let event = &bench.ledger.events_of("chat.attach_image")[0];
    assert_eq!(event.input_value()["image_bytes"], GIF.len());
    let output = event.output_value();
    assert_eq!(
        [&output["format"], &output["width"], &output["height"]],
        [&json!("gif"), &json!(320), &json!(240)]
    );
}

#[tokio::test]
async fn a_panic_in_the_engine_is_recorded_and_ends_the_callers_task_only() {
    let (bench, ctx, thread) = bench_with_thread().await;
    let (chat, context) = (bench.engines.chat.clone(), ctx.clone());
    let id = thread.thread_id.clone();
    let task = tokio::spawn(async move { chat.attach_image(&context, &id, b"\x89PNG\r\n\x1a\n").await });
    assert!(task.await.expect_err("a broken upload").is_panic());
    assert_eq!(bench.endings("chat.attach_image"), ["panic panic"]);
    bench.engines.chat.attach_image(&ctx, &thread.thread_id, GIF).await.expect("the engine goes on");
}

#[tokio::test]
async fn list_messages_and_threads() {
    let (bench, ctx, thread) = bench_with_thread().await;
    let chat = &bench.engines.chat;
    let id = &thread.thread_id;
    for text in ["first", "second", "third"] {
        chat.send_message(&ctx, id, text).await.expect("send");
    }
    let page = chat.list_messages(&ctx, id, 1, 1).await.expect("list");
    assert_eq!(page.iter().map(|message| message.position).collect::<Vec<_>>(), [2]);
    assert!(matches!(chat.list_messages(&ctx, id, 0, 0).await, Err(ChatError::InvalidPage { limit: 0 })));
    let refused = chat.list_messages(&ctx, &absent(), 0, 1).await;
    assert!(matches!(refused, Err(ChatError::ThreadNotFound { .. })));
    assert_eq!(
        bench.endings("chat.list_messages"),
        ["ok", "error chat.invalid_page", "error chat.thread_not_found"]
    );

    let threads = chat.list_threads(&ctx, None, 10).await.expect("list");
    assert_eq!(threads.iter().map(|thread| thread.messages).collect::<Vec<_>>(), [3]);
    assert_eq!(chat.list_threads(&ctx, Some(id), 10).await.expect("list"), []);
    assert!(matches!(chat.list_threads(&ctx, None, 201).await, Err(ChatError::InvalidPage { limit: 201 })));
    assert_eq!(bench.endings("chat.list_threads"), ["ok", "ok", "error chat.invalid_page"]);
    let events = bench.ledger.events();
    let reads = events.iter().filter(|event| event.surface.starts_with("chat.list_"));
    assert!(reads.map(|event| event.access).all(|access| access == Access::Read));
}

#[tokio::test]
async fn a_reply_that_is_taken_to_its_end_is_kept() {
    let (bench, ctx, thread) = bench_with_thread().await;
    let chat = &bench.engines.chat;
    let id = &thread.thread_id;
    let text = "The ledger holds events. Every event of the ledger has a hash, and the hash names the event.";
    chat.send_message(&ctx, id, text).await.expect("send");
    let chunks: Vec<ReplyChunk> =
        chat.stream_reply(&ctx, id).map(|chunk| chunk.expect("a chunk")).collect().await;
    let Some((ReplyChunk::Done { message_id }, words)) = chunks.split_last() else {
        panic!("no end: {chunks:?}");
    };
    let messages = chat.list_messages(&ctx, id, 0, 10).await.expect("list");
    assert_eq!(messages.len(), 2);
    assert_eq!(&messages[1].message_id, message_id);
    assert!(words.len() > 1, "{words:?}");

    assert_eq!(bench.endings("chat.stream_reply"), ["ok"]);
    let events = bench.ledger.events();
    let event = events.iter().find(|event| event.surface == "chat.stream_reply").expect("recorded");
    assert_eq!(event.detail.items, Some(chunks.len() as u64));
    let children = events.iter().filter(|child| child.parent_span_id == Some(event.span_id));
    assert_eq!(children.count(), 5, "gate, thread, text, charge, message");
}

/// The charge was made after the last piece of text: who left right there had read the reply for nothing.
#[tokio::test]
async fn a_reply_is_charged_once_wherever_its_client_leaves() {
    let (bench, ctx, thread) = bench_with_thread().await;
    let Engines { chat, budget, .. } = &bench.engines;
    let id = &thread.thread_id;
    let text = "The ledger holds events. Every event of the ledger has a hash, and the hash names the event.";
    chat.send_message(&ctx, id, text).await.expect("send");
    let charged = async || {
        let kinds = budget.summary(&ctx).await.expect("a summary").kinds;
        let replies = kinds.iter().filter(|row| row.kind == UsageKind::ChatReply);
        replies.map(|row| (row.entries, row.total.amount())).next().unwrap_or_default()
    };
    let pieces = chat.stream_reply(&ctx, id).collect::<Vec<_>>().await.len();
    let (entries, price) = charged().await;
    assert!((entries, pieces > 2) == (1, true) && price > Decimal::ZERO, "{entries} {pieces} {price}");
    // The last piece but the end, and the first.
    for (turn, taken) in [pieces - 1, 1].into_iter().enumerate() {
        let mut reply = chat.stream_reply(&ctx, id);
        for _ in 0..taken {
            assert!(matches!(reply.next().await, Some(Ok(ReplyChunk::Text(_)))));
        }
        drop(reply);
        let entries = turn as u64 + 2;
        assert_eq!(charged().await, (entries, price * Decimal::from(entries)), "after {taken} pieces");
    }
    // Who asks and takes nothing is given nothing.
    drop(chat.stream_reply(&ctx, id));
    assert_eq!(charged().await.0, 3);
    assert_eq!(chat.list_messages(&ctx, id, 0, 10).await.expect("list").len(), 2, "one reply was kept");
}

#[tokio::test]
async fn a_reply_that_the_client_leaves_is_cancelled_and_not_kept() {
    let (bench, ctx, thread) = bench_with_thread().await;
    let chat = &bench.engines.chat;
    let id = &thread.thread_id;
    let text = "The ledger holds events. Every event of the ledger has a hash, and the hash names the event.";
    chat.send_message(&ctx, id, text).await.expect("send");
    let mut reply = chat.stream_reply(&ctx, id);
    for _ in 0..2 {
        assert!(matches!(reply.next().await, Some(Ok(ReplyChunk::Text(_)))));
    }
    drop(reply);
    assert_eq!(bench.endings("chat.stream_reply"), ["cancelled cancelled"]);
    let events = bench.ledger.events();
    let event = events.iter().find(|event| event.outcome == Outcome::Cancelled).expect("recorded");
    assert_eq!(event.detail.items, Some(2));
    assert_eq!(chat.list_messages(&ctx, id, 0, 10).await.expect("list").len(), 1);
}

#[tokio::test]
async fn a_reply_without_a_thread_or_a_text_fails_with_its_code() {
    let (bench, ctx, thread) = bench_with_thread().await;
    let chat = &bench.engines.chat;
    let first = chat.stream_reply(&ctx, &absent()).next().await;
    assert!(matches!(first, Some(Err(ChatError::ThreadNotFound { .. }))));
    let first = chat.stream_reply(&ctx, &thread.thread_id).next().await;
    assert!(matches!(first, Some(Err(ChatError::NothingToReplyTo { .. }))));
    assert_eq!(
        bench.endings("chat.stream_reply"),
        ["error chat.thread_not_found", "error chat.nothing_to_reply_to"]
    );
}

#[tokio::test]
async fn a_database_that_fails_is_an_internal_error_with_its_source() {
    let (bench, ctx, thread) = bench_with_thread().await;
    let database = rusqlite::Connection::open(bench.database()).expect("open the database");
    database.execute_batch("DROP TABLE chat_messages; DROP TABLE chat_threads").expect("drop the tables");
    let failed = bench.engines.chat.list_messages(&ctx, &thread.thread_id, 0, 10).await;
    let error = failed.expect_err("the table is gone");
    let source = std::error::Error::source(&error).expect("a source");
    assert_eq!(source.to_string(), "read a thread in the engines' database");
    assert_eq!(bench.endings("chat.list_messages"), ["error chat.internal"]);
    let accesses = bench.endings("nexus.read");
    assert_eq!(accesses.last().map(String::as_str), Some("error nexus.statement_failed"), "{accesses:?}");
}

#[test]
fn writes_leave_a_trace_even_if_the_process_dies_inside_them() {
    let sites = dataset_events::surfaces().filter(|site| site.crate_name() == "dataset_events_examples");
    let mut seen = 0;
    for site in sites {
        let expected = match (site.surface, site.access) {
            ("budget.set_policy" | "kill_switch.update", _) => Guarantee::Durable,
            ("strategy_lock.propose" | "strategy_lock.approve", _) => Guarantee::Durable,
            ("strategy_lock.withdraw" | "strategy_lock.release", _) => Guarantee::Durable,
            (_, Access::Read) => Guarantee::Recorded,
            _ => Guarantee::Intent,
        };
        assert_eq!(site.guarantee, expected, "{}", site.surface);
        seen += 1;
    }
    assert_eq!(seen, 48, "every surface of the engines is in the registry");
}
