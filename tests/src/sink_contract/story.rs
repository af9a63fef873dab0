//! The ledgers that the checks forward: real ones, written and closed for it.

use std::time::Duration;

use dataset_events::sinks::EntryKind;
use dataset_events::{Code, Guarantee, Ledger, RequestContext};

pub use super::cut::LedgerCut;
use crate::log::only_ledger;

/// Scopes of several tenants and envs, so that their streams are interleaved.
pub const SCOPES: [(&str, &str); 4] =
    [("acme", "prod"), ("acme", "dev"), ("globex", "prod"), ("initech", "prod")];

const REFUSED: Code = Code::new("order.refused").status(422);

/// As much as a section of an event takes, less what its name and the punctuation need.
const MOST_BYTES: usize = 64 * 1024 - 300;

/// Writes a ledger with segments of 64 KiB, closes it and cuts it to pieces.
///
/// # Panics
///
/// When the ledger cannot be written, or lost an event.
pub fn ledger(write: impl FnOnce(&Ledger)) -> LedgerCut {
    ledger_with_segments(64 << 10, write)
}

/// The same, with segments of another size.
///
/// # Panics
///
/// When the ledger cannot be written, or lost an event.
pub fn ledger_with_segments(segment_bytes: u64, write: impl FnOnce(&Ledger)) -> LedgerCut {
    let root = tempfile::tempdir().expect("a directory for the ledger");
    let ledger = Ledger::options()
        .root(root.path())
        .service("contract", "1")
        .journal_bytes(8 << 20)
        .segment_bytes(segment_bytes)
        .group_interval(Duration::from_millis(2))
        .open()
        .expect("open the ledger to forward");
    write(&ledger);
    ledger.close().expect("close the ledger to forward");
    let directory = only_ledger(root.path());
    let lost = crate::log::Log::read(&directory).lost();
    assert!(lost.is_empty(), "the ledger to forward lost events: {lost:?}");
    LedgerCut::read(&directory)
}

/// A context of one of the [`SCOPES`].
///
/// # Panics
///
/// Never: the scopes are valid.
pub fn context(ledger: &Ledger, scope: usize) -> RequestContext {
    let (tenant, env) = SCOPES[scope % SCOPES.len()];
    ledger.context(tenant, env).user_id("u_7").request_id("req-1").build().expect("a valid context")
}

/// Writes events of all scopes in turn: most of them small, every seventh a failure, every fiftieth `durable` (which
/// also leaves an attempt).
///
/// # Panics
///
/// When one is refused.
pub fn write_orders(ledger: &Ledger, count: usize) {
    for number in 0..count {
        let ctx = context(ledger, number * 7 / 3);
        let event = ctx.event(["order.create", "order.ship", "order.pay"][number % 3]);
        let event =
            event.input("number", &number).output("total", &(number * 100)).source_ref("order", number);
        let event = if number % 7 == 3 { event.code(REFUSED) } else { event };
        let event = if number % 50 == 10 { event.guarantee(Guarantee::Durable) } else { event };
        event.record().expect("record an order");
    }
}

/// Orders of several scopes, with failures and attempts, over several segments.
///
/// # Panics
///
/// When it cannot be written.
pub fn orders(count: usize) -> LedgerCut {
    ledger(|ledger| write_orders(ledger, count))
}

/// A ledger whose oldest segments were dropped, under two cuts: it begins at the second.
///
/// # Panics
///
/// When it cannot be written, or nothing was dropped.
pub fn begins_at_a_cut() -> LedgerCut {
    let root = tempfile::tempdir().expect("a directory for the ledger");
    let ledger = Ledger::options()
        .root(root.path())
        .service("contract", "1")
        .journal_bytes(8 << 20)
        .segment_bytes(64 << 10)
        .group_interval(Duration::from_millis(2))
        .keep_for(Duration::from_millis(1))
        .drop_without_copy(true)
        .open()
        .expect("open the ledger to forward");
    for number in 1..=2 {
        write_orders(&ledger, 300);
        ledger.flush().expect("flush");
        let since = std::time::Instant::now();
        // Its events and its last checkpoint must have the age, and the index must have read them.
        while ledger.retain().expect("drop segments").cut.is_none_or(|cut| cut.number != number) {
            assert!(
                since.elapsed() < Duration::from_secs(20),
                "nothing is dropped: {:?}",
                ledger.retention()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    write_orders(&ledger, 300);
    ledger.close().expect("close the ledger to forward");
    let cut = LedgerCut::read(&only_ledger(root.path()));
    assert!(cut.pieces.iter().filter(|piece| piece.kind == EntryKind::Cut).count() == 2);
    cut
}

/// Events whose lines have about a kilobyte.
///
/// # Panics
///
/// When it cannot be written.
pub fn kilobytes(count: usize) -> LedgerCut {
    ledger_with_segments(1 << 20, |ledger| {
        let text = "k".repeat(500);
        for number in 0..count {
            let ctx = context(ledger, number);
            let event = ctx.event("file.store").input("number", &number);
            event.input("text", &text).record().expect("record a kilobyte");
            if number % 1_000 == 999 {
                ledger.flush().expect("flush");
            }
        }
    })
}

/// Text of every kind in input, output, source refs, changes, user and user agent.
///
/// # Panics
///
/// When it cannot be written.
pub fn unicode() -> LedgerCut {
    let texts = [
        "grüße, naïve café",
        "こんにちは世界",
        "مرحبا بالعالم",
        "עברית ועוד",
        "👩‍👩‍👧‍👦 🏳️‍🌈 e\u{301} \u{1F600}",
        "\u{feff}bom, \u{200b}zero width, \u{202e}turned, \u{2028}line\u{2029}paragraph",
        "tab\tnewline\ncarriage\rnul\u{0}bell\u{7}escape\u{1b}delete\u{7f}",
        "quote\" backslash\\ slash/ <script>&amp;</script> '; DROP TABLE events;--",
        "\u{10ffff}\u{fffd}\u{e000}",
        "\\u0041 \\n {{template}} ${variable} %s %00",
    ];
    ledger(|ledger| {
        for (at, text) in texts.iter().enumerate() {
            let ctx = context(ledger, at);
            let event = ctx.event("text.store").input("text", text).output("texts", &texts);
            // Ids of things are kept as they are; control characters come escaped.
            let event = event.source_ref("text", text).change("text", text, &text.to_uppercase());
            event.record().expect("record a text");
        }
        let ctx = ledger.context("acme", "prod").user_agent("Müller/1.0 (日本)").build().expect("valid");
        ctx.event("text.agent").record().expect("record an agent");
    })
}

/// The largest events that a ledger writes: input, output, source refs and changes of 64 KiB each, once of letters,
/// once of characters that are escaped.
///
/// # Panics
///
/// When it cannot be written.
pub fn largest() -> LedgerCut {
    let cut = ledger_with_segments(4 << 20, |ledger| {
        for (at, (text, times)) in
            [("x", MOST_BYTES), ("\"", MOST_BYTES / 2), ("\u{1}", MOST_BYTES / 6), ("ß", MOST_BYTES / 2)]
                .into_iter()
                .enumerate()
        {
            let value = text.repeat(times);
            let half = text.repeat(times / 2 - 200);
            let ctx = longest_context(ledger, at);
            let mut event = ctx.event("file.store").input("value", &value).output("value", &value);
            event = event.change("value", &half, &half);
            for number in 0..120 {
                event = event.source_ref("file", format_args!("{number:0>480}"));
            }
            event.record().expect("record a large event");
            ledger.flush().expect("flush");
            // A small one between them: whoever loses its place behind a large line loses this.
            context(ledger, at).event("file.note").input("number", &at).record().expect("record a note");
        }
    });
    let longest = cut.pieces.iter().map(|piece| piece.bytes.len()).max();
    assert!(longest > Some(240 * 1024), "the largest line has {longest:?} bytes only");
    cut
}

fn longest_context(ledger: &Ledger, at: usize) -> RequestContext {
    let tenant = format!("t{at}-{}", "t".repeat(125));
    let ctx = ledger.context(&*tenant, "e".repeat(32).as_str()).user_id("u".repeat(128).as_str());
    ctx.user_agent("a".repeat(256)).build().expect("a valid context")
}

/// Nothing, in every form in which an event can say it.
///
/// # Panics
///
/// When it cannot be written.
pub fn empty_values() -> LedgerCut {
    ledger(|ledger| {
        for at in 0..SCOPES.len() {
            let ctx = context(ledger, at);
            ctx.event("empty.nothing").record().expect("record nothing");
            let event = ctx.event("empty.values").input("text", "").input("list", &[0_u8; 0]);
            let event =
                event.input("map", &serde_json::json!({})).input("null", &()).output("none", &None::<u8>);
            event.change("field", "", &()).record().expect("record empty values");
            ctx.event("empty.output").output("text", "").record().expect("record an empty output");
        }
        // As little of a context as there can be.
        let ctx = ledger.context("a", "b").build().expect("valid");
        ctx.event("empty.context").record().expect("record");
    })
}

/// Values that a store's own types do not all have: deep nesting, odd names, numbers at the ends of their types.
///
/// # Panics
///
/// When it cannot be written.
pub fn odd_values() -> LedgerCut {
    let deep = (0..60).fold(serde_json::json!("deep"), |inner, at| {
        if at % 2 == 0 { serde_json::json!({ "in": inner }) } else { serde_json::json!([inner]) }
    });
    let names = serde_json::json!({
        "": 1, " ": 2, "__name__": 3, "a.b": 4, "`tick`": 5, "a/b": 6, "$sealed?": 7, "ünï": 8, "\u{0}": 9,
        "0": 10, "event_id": 11, "_PARTITIONTIME": 12, "A": 13, "a": 14, "\"": 15, "[0]": 16,
    });
    let long_name = serde_json::json!({ "n".repeat(2_000): 1 });
    let nested_lists = serde_json::json!([[1, [2, []]], [[[]]]]);
    ledger(|ledger| {
        for at in 0..SCOPES.len() {
            let ctx = context(ledger, at);
            ctx.event("odd.deep")
                .input("deep", &deep)
                .input("lists", &nested_lists)
                .record()
                .expect("record");
            ctx.event("odd.names")
                .input("names", &names)
                .output("name", &long_name)
                .record()
                .expect("record");
            let event = ctx.event("odd.numbers").input("least", &i64::MIN).input("most", &u64::MAX);
            let event = event.input("wide", &u128::MAX).input("tiny", &5e-324).input("huge", &1.797e308);
            let event = event.input("zero", &-0.0).input("third", &(1.0 / 3.0)).input("no", &f64::NAN);
            event.record().expect("record");
            ctx.event("odd.types").input("a", &at).input("b", &(at % 2 == 0)).record().expect("record");
            ctx.event("odd.types").input("a", "text").input("b", &[at]).record().expect("record");
        }
    })
}

/// More bytes than a request of any store takes: 12 MB.
///
/// # Panics
///
/// When it cannot be written.
pub fn megabytes() -> LedgerCut {
    let cut = ledger_with_segments(8 << 20, |ledger| {
        let text = "m".repeat(60_000);
        for number in 0..100 {
            let ctx = context(ledger, number);
            let event = ctx.event("file.store").input("number", &number);
            event.input("text", &text).output("text", &text).record().expect("record");
            if number % 5 == 4 {
                ledger.flush().expect("flush");
            }
        }
    });
    assert!(cut.pieces.iter().map(|piece| piece.bytes.len()).sum::<usize>() > 11_500_000);
    cut
}
