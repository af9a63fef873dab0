//! The dashboard's surfaces: what they show is in the ledgers, and of one scope only.

use std::collections::BTreeSet;

use dataset_events::{Ledger, Outcome, RequestContext, SpanId, TraceId};
use dataset_events_examples::engines::Bossman;
use dataset_events_examples::engines::bossman::{
    BossmanError, EventFilter, EventPage, MAX_WINDOW_US, PageRequest, TraceNode, Window,
};
use dataset_events_examples::engines::kill_switch::Target;
use serde_json::json;

use crate::common::Bench;
use crate::script;

/// 2026-01-01T00:00:00Z, where the clock of a test ledger begins.
const START_US: i64 = 1_767_225_600_000_000;
const HOUR_US: i64 = 3_600_000_000;
/// Two hours around the test's events.
const WINDOW: Window = Window { since_us: START_US - HOUR_US, until_us: START_US + HOUR_US };

fn first(limit: u32) -> PageRequest {
    PageRequest { limit, after: None }
}

/// Calls in a scope and a foreign one, and a dashboard over their ledger.
async fn worked() -> (Bench, Bossman, RequestContext, RequestContext) {
    let bench = Bench::new();
    let (ctx, foreign) = (bench.context("acme", "prod"), bench.context("globex", "prod"));
    script::run(&bench.engines, &ctx, &foreign).await;
    bench.ledger.flush();
    let bossman = Bossman::new(bench.ledger.ledger().clone());
    (bench, bossman, ctx, foreign)
}

#[tokio::test]
async fn an_overview_counts_the_scopes_events() {
    let (bench, bossman, ctx, _) = worked().await;
    let own: Vec<_> = bench.ledger.events().into_iter().filter(|event| event.tenant_id() == "acme").collect();
    // A look at the dashboard is an event, and in no count.
    bossman.overview(&ctx, WINDOW).await.expect("a first look");
    bench.ledger.flush();
    let overview = bossman.overview(&ctx, WINDOW).await.expect("overview");

    assert_eq!((overview.tenant_id.as_str(), overview.env.as_str()), ("acme", "prod"));
    assert_eq!(overview.totals.events, own.len() as u64);
    let ended = |outcome| own.iter().filter(|event| event.outcome == outcome).count() as u64;
    assert_eq!(overview.totals.ok, ended(Outcome::Ok));
    assert_eq!(overview.totals.error, ended(Outcome::Error));
    assert_eq!(overview.totals.denied, ended(Outcome::Denied));
    assert_eq!(overview.totals.cancelled, ended(Outcome::Cancelled));
    assert!(overview.totals.denied > 0 && overview.totals.cancelled > 0);
    let surfaces: u64 = overview.by_surface.iter().map(|row| row.events).sum();
    assert_eq!(surfaces, overview.totals.events);
    let ingested = overview.by_surface.iter().filter(|row| row.surface == "vector.ingest");
    let ingested: Vec<(Outcome, u64)> = ingested.map(|row| (row.outcome, row.events)).collect();
    assert_eq!(ingested, [(Outcome::Ok, 1), (Outcome::Error, 1)]);
    let codes: u64 = overview.by_code.iter().map(|row| row.events).sum();
    assert_eq!(codes, overview.totals.events - overview.totals.ok);
    assert!(overview.by_code.is_sorted_by(|left, right| left.events >= right.events));
    let hours: Vec<(i64, u64)> =
        overview.by_hour.iter().map(|hour| (hour.hour_us - START_US, hour.events)).collect();
    assert_eq!(hours, [(-HOUR_US, 0), (0, overview.totals.events)]);
    assert_eq!(overview.by_hour[1].failures, overview.totals.events - overview.totals.ok);

    let mut failures: Vec<u64> =
        own.iter().filter(|event| event.outcome.is_failure()).map(|event| event.seq).collect();
    failures.reverse();
    failures.truncate(20);
    assert_eq!(overview.latest_failures.iter().map(|failure| failure.seq).collect::<Vec<_>>(), failures);

    let heads = &overview.freshness.ledgers;
    assert_eq!(heads.len(), 1);
    assert_eq!((heads[0].is_own, heads[0].seq), (true, own.len() as u64 + 1), "with the first look");
    assert_eq!(overview.freshness.newest_event_us, heads[0].recorded_at_us);
    assert_eq!(bench.endings("bossman.overview"), ["ok", "ok"]);
    let event = &bench.ledger.events_of("bossman.overview")[1];
    assert_eq!(event.output_value(), json!({"events": own.len(), "ledgers": 1, "unread": 0}));
    assert_eq!(event.source_refs[0].id, heads[0].ledger_id.to_string());
}

#[tokio::test]
async fn names_of_an_overviews_fields_are_stable() {
    let (_bench, bossman, ctx, _) = worked().await;
    let overview = serde_json::to_value(bossman.overview(&ctx, WINDOW).await.expect("overview"));
    let overview = overview.expect("an overview is JSON");
    let keys = |value: &serde_json::Value| {
        value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>().join(" ")
    };
    for (value, expected) in [
        (
            &overview,
            "as_of_us by_code by_hour by_surface env freshness latest_failures span tenant_id totals window",
        ),
        (&overview["totals"], "cancelled denied error events interrupted ok panic"),
        (&overview["by_surface"][0], "access events outcome surface"),
        (&overview["by_code"][0], "code events latest_at_us"),
        (&overview["by_hour"][0], "events failures hour_us"),
        (&overview["freshness"], "age_us is_complete ledgers newest_event_us unread"),
        (&overview["freshness"]["ledgers"][0], "hash is_own ledger_id recorded_at_us seq"),
        (
            &overview["latest_failures"][0],
            "code ledger_id outcome recorded_at_us request_id seq surface trace_id user_id",
        ),
    ] {
        let mut expected: Vec<&str> = expected.split(' ').collect();
        expected.sort_unstable();
        let mut found: Vec<String> = keys(value).split(' ').map(str::to_owned).collect();
        found.sort_unstable();
        assert_eq!(found, expected);
    }
}

#[tokio::test]
async fn a_window_is_counted_by_whole_buckets_which_the_answer_names() {
    let (bench, bossman, ctx, _) = worked().await;
    let own = bench.ledger.events().iter().filter(|event| event.tenant_id() == "acme").count() as u64;
    // All events lie within a second from the start; five minutes are the shortest buckets.
    const FIVE_MINUTES_US: i64 = HOUR_US / 12;
    for (since_us, until_us, span, expected) in [
        (START_US, START_US + 1, (START_US, START_US + FIVE_MINUTES_US), own),
        (START_US - 1, START_US, (START_US - FIVE_MINUTES_US, START_US), 0),
        (START_US + FIVE_MINUTES_US, START_US + HOUR_US, (START_US + FIVE_MINUTES_US, START_US + HOUR_US), 0),
        (
            START_US - 30 * 24 * HOUR_US + 7,
            START_US + 7,
            (START_US - 30 * 24 * HOUR_US, START_US + HOUR_US),
            own,
        ),
    ] {
        let window = Window { since_us, until_us };
        let overview = bossman.overview(&ctx, window).await.expect("overview");
        assert_eq!((overview.window, overview.totals.events), (window, expected));
        assert_eq!((overview.span.since_us, overview.span.until_us), span);
        assert_eq!(overview.latest_failures.is_empty(), expected == 0);
    }
    assert_eq!(
        Window::hours_until(START_US, 2).until_us - Window::hours_until(START_US, 2).since_us,
        2 * HOUR_US
    );

    for (since_us, until_us) in [(5, 5), (5, 4), (0, MAX_WINDOW_US + 1), (i64::MIN, i64::MAX)] {
        let refused = bossman.overview(&ctx, Window { since_us, until_us }).await;
        assert!(matches!(refused, Err(BossmanError::InvalidWindow { .. })), "{refused:?}");
    }
    let refused = bossman.overview(&ctx, Window::hours_until(START_US, u32::MAX)).await;
    assert!(matches!(refused, Err(BossmanError::InvalidWindow { .. })), "{refused:?}");
    bossman.overview(&ctx, Window { since_us: 0, until_us: MAX_WINDOW_US }).await.expect("the longest");
    let endings = bench.endings("bossman.overview");
    assert_eq!(endings.iter().filter(|ending| *ending == "error bossman.invalid_window").count(), 5);
}

#[tokio::test]
async fn events_are_shown_newest_first_with_payloads_page_by_page() {
    let (bench, bossman, ctx, _) = worked().await;
    let own = bench.ledger.events().into_iter().filter(|event| event.tenant_id() == "acme");
    let mut expected: Vec<u64> = own.map(|event| event.seq).collect();
    expected.reverse();
    let mut seen = Vec::new();
    let mut page = first(7);
    let filter = EventFilter { until_us: Some(WINDOW.until_us), ..EventFilter::default() };
    let mut pages = 0;
    loop {
        let EventPage { events, next, .. } = bossman.events(&ctx, &filter, &page).await.expect("a page");
        assert!(events.len() <= 7);
        seen.extend(events.iter().map(|entry| (entry.event.surface.clone(), entry.event.seq)));
        pages += 1;
        // Looking makes newer events, which do not shift what follows.
        bench.ledger.flush();
        match next {
            Some(next) => page.after = Some(next),
            None => break,
        }
    }
    let seqs: Vec<u64> = seen.iter().map(|(_, seq)| *seq).collect();
    assert_eq!(seqs, expected);
    assert_eq!(pages, expected.len().div_ceil(7));

    let filter = EventFilter {
        surface: Some("vector.*".to_owned()),
        outcome: Some(Outcome::Ok),
        ..EventFilter::default()
    };
    let page = bossman.events(&ctx, &filter, &first(50)).await.expect("filtered");
    let surfaces: Vec<&str> = page.events.iter().map(|entry| entry.event.surface.as_str()).collect();
    assert_eq!(surfaces, ["vector.remove", "vector.query", "vector.ingest"]);
    let text = serde_json::to_value(&page).expect("a page is JSON");
    assert_eq!(text["events"][2]["event"]["input"]["document_id"], "doc_1");
    let code = EventFilter { code: Some("media.type_mismatch".to_owned()), ..EventFilter::default() };
    assert_eq!(bossman.events(&ctx, &code, &first(50)).await.expect("by code").events.len(), 1);
    let input = bench.ledger.events_of("bossman.events").last().expect("recorded").input_value();
    assert_eq!(input, json!({"filters": ["code"], "limit": 50, "is_first": true}));
}

#[tokio::test]
async fn what_is_no_page_is_refused() {
    let (bench, bossman, ctx, _) = worked().await;
    let all = EventFilter::default();
    for limit in [0, 201] {
        let refused = bossman.events(&ctx, &all, &first(limit)).await;
        assert!(matches!(refused, Err(BossmanError::InvalidPage { .. })), "{refused:?}");
    }
    for after in ["", "5", "1_2_3", "1_01900000-0000-7000-8000-000000000001_x", "../x"] {
        let page = PageRequest { limit: 1, after: Some(after.to_owned()) };
        let refused = bossman.events(&ctx, &all, &page).await;
        assert!(matches!(refused, Err(BossmanError::InvalidPage { limit: 1 })), "{refused:?}");
    }
    let empty = EventFilter { since_us: Some(2), until_us: Some(2), ..all };
    let refused = bossman.events(&ctx, &empty, &first(1)).await;
    assert!(matches!(refused, Err(BossmanError::InvalidWindow { since_us: 2, until_us: 2 })), "{refused:?}");
    let mut expected = vec!["error bossman.invalid_page"; 7];
    expected.push("error bossman.invalid_window");
    assert_eq!(bench.endings("bossman.events"), expected);
}

fn trace_id(byte: u8) -> TraceId {
    TraceId::from_bytes([byte; 16]).expect("a trace id")
}

#[tokio::test]
async fn a_trace_is_a_tree_over_the_ledgers_of_a_root() {
    let root = tempfile::tempdir().expect("make a temporary directory");
    let open =
        |service: &str| Ledger::options().root(root.path()).service(service, "1").open().expect("open");
    let (gateway, engines) = (open("gateway"), open("engines"));
    assert_ne!(gateway.id(), engines.id());
    let bench = Bench::new();
    let context = |ledger: &Ledger, tenant: &str, parent: u8| {
        let parent = SpanId::from_bytes([parent; 8]).expect("a span id");
        let builder = ledger.context(tenant, "prod").trace_id(trace_id(7)).parent_span_id(parent);
        builder.build().expect("a valid scope")
    };
    let first = context(&gateway, "acme", 9);
    bench.engines.kill_switch.check(&first, &Target::CHAT).await.expect("in the gateway");
    gateway.flush().expect("flush");
    let events = gateway.scope(first.tenant_id(), first.env()).events();
    let called = events.surface("kill_switch.check").iter().next().expect("recorded").expect("readable");
    let second = engines.context("acme", "prod").trace_id(trace_id(7)).parent_span_id(called.event.span_id);
    let second = second.build().expect("a valid scope");
    bench.engines.kill_switch.check(&second, &Target::CHAT).await.expect("in the engines service");
    let foreign = context(&engines, "globex", 9);
    bench.engines.kill_switch.check(&foreign, &Target::CHAT).await.expect("another tenant, same trace");
    engines.flush().expect("flush");

    let bossman = Bossman::new(gateway.clone()).with_root(root.path());
    let trace = bossman.trace(&first, trace_id(7)).await.expect("a trace");
    assert_eq!((trace.events, trace.is_truncated, trace.roots.len()), (4, false, 1));
    let top = &trace.roots[0];
    let lines: Vec<(&str, &str)> =
        top.children.iter().map(|node| (node.service.as_str(), node.surface.as_str())).collect();
    assert_eq!((top.service.as_str(), top.surface.as_str()), ("gateway", "kill_switch.check"));
    assert_eq!(lines, [("gateway", "nexus.read"), ("engines", "kill_switch.check")]);
    assert_eq!(top.children[1].children[0].surface, "nexus.read");
    assert_eq!(top.children[1].ledger_id, engines.id());
    let text = serde_json::to_value(&trace).expect("a trace is JSON");
    assert_eq!(text["roots"][0]["children"][1]["children"][0]["service"], "engines");

    let absent = bossman.trace(&first, trace_id(8)).await;
    assert!(matches!(absent, Err(BossmanError::TraceNotFound { .. })), "{absent:?}");
    gateway.flush().expect("flush");
    let own = gateway.scope(first.tenant_id(), first.env()).events().surface("bossman.trace");
    let codes: Vec<Option<String>> =
        own.iter().map(|stored| stored.expect("readable").event.code().map(str::to_owned)).collect();
    assert_eq!(codes, [None, Some("bossman.trace_not_found".to_owned())]);
}

#[tokio::test]
async fn events_of_several_ledgers_are_one_list_without_repeats() {
    let root = tempfile::tempdir().expect("make a temporary directory");
    let open = || Ledger::options().root(root.path()).open().expect("open a ledger");
    let (own, other) = (open(), open());
    let bench = Bench::new();
    let mut context = own.context("acme", "prod").build().expect("a valid scope");
    for turn in 0..15 {
        let ledger = if turn % 3 == 0 { &own } else { &other };
        context = ledger.context("acme", "prod").build().expect("a valid scope");
        bench.engines.kill_switch.check(&context, &Target::CHAT).await.expect("check");
    }
    own.flush().expect("flush");
    other.flush().expect("flush");
    let until_us =
        i64::try_from(std::time::UNIX_EPOCH.elapsed().expect("a time").as_micros()).expect("a time");
    let filter = EventFilter { until_us: Some(until_us), ..EventFilter::default() };

    // By root, by directory, and both: each ledger is read once.
    let by_root = Bossman::new(own.clone()).with_root(root.path());
    let by_directory = Bossman::new(own.clone()).with_ledger(other.path().expect("on disk"));
    let by_both = by_root.clone().with_ledger(other.path().expect("on disk"));
    for bossman in [by_root, by_directory, by_both] {
        let mut seen = Vec::new();
        let mut page = first(4);
        loop {
            let EventPage { events, next, .. } =
                bossman.events(&context, &filter, &page).await.expect("a page");
            let place =
                |event: &dataset_events::DatasetEvent| (event.recorded_at, event.ledger_id, event.seq);
            seen.extend(events.iter().map(|entry| place(&entry.event)));
            let Some(next) = next else { break };
            page.after = Some(next);
        }
        assert_eq!(seen.len(), 30);
        assert!(seen.is_sorted_by(|left, right| left > right), "{seen:?}");
        assert_eq!(seen.iter().map(|place| place.1).collect::<BTreeSet<_>>().len(), 2);
    }
    let window = Window::hours_until(until_us, 2);
    let overview =
        Bossman::new(own).with_root(root.path()).overview(&context, window).await.expect("overview");
    assert_eq!(overview.totals.events, 30);
    // The other one goes on: the looks above are recorded there, as their context says.
    let head = |is_own| {
        let mut heads = overview.freshness.ledgers.iter();
        heads.find(|head| head.is_own == is_own).map(|head| (head.ledger_id == other.id(), head.seq))
    };
    assert_eq!(head(true), Some((false, 10)));
    assert!(head(false) >= Some((true, 20)), "{:?}", head(false));
}

/// One broken directory took every view of every tenant away; what could be read was not shown either.
#[tokio::test]
async fn a_ledger_that_cannot_be_read_is_named_beside_what_could() {
    let (bench, bossman, ctx, _) = worked().await;
    let whole = bossman.overview(&ctx, WINDOW).await.expect("overview");
    assert!(whole.freshness.is_complete && whole.freshness.unread.is_empty());
    let known = bench.ledger.events().iter().find(|event| event.tenant_id() == "acme").map(|e| e.trace_id);
    let known = known.expect("an event of the tenant");
    let directory = tempfile::tempdir().expect("make a temporary directory");
    let no_ledger = bossman.clone().with_ledger(directory.path());
    let no_root = bossman.with_root(directory.path().join("absent"));
    for bossman in [no_ledger, no_root] {
        let part = bossman.overview(&ctx, WINDOW).await.expect("overview");
        assert_eq!((part.totals, &part.by_surface), (whole.totals, &whole.by_surface));
        assert_eq!((part.freshness.is_complete, part.freshness.unread.len()), (false, 1));
        let page = bossman.events(&ctx, &EventFilter::default(), &first(1)).await.expect("events");
        assert_eq!((page.events.len(), page.is_complete, page.unread.len()), (1, false, 1));
        let trace = bossman.trace(&ctx, known).await.expect("a trace");
        assert_eq!((trace.is_complete, trace.unread.len()), (false, 1));
        let text = serde_json::to_string(&(part, page.unread, trace)).expect("views are JSON");
        let path = directory.path().to_str().expect("a path in UTF-8");
        assert!(!text.contains(path), "files are for the operator: {text}");
        // What nobody knows is not denied.
        let absent = bossman.trace(&ctx, trace_id(1)).await.expect_err("not in what could be read");
        assert!(matches!(absent, BossmanError::LedgerUnreadable { .. }), "{absent}");

        let strict = bossman.refusing_parts(true);
        for refused in [
            strict.overview(&ctx, WINDOW).await.map(drop),
            strict.controls(&ctx, 1).await.map(drop),
            strict.events(&ctx, &EventFilter::default(), &first(1)).await.map(drop),
            strict.trace(&ctx, known).await.map(drop),
        ] {
            let error = refused.expect_err("a part");
            assert!(matches!(error, BossmanError::LedgerUnreadable { .. }), "{error}");
            assert!(std::error::Error::source(&error).is_some(), "it says why");
        }
        strict.ledgers(&ctx, 10).await.expect("it says which");
    }
    let unreadable = "error bossman.ledger_unreadable";
    assert_eq!(bench.endings("bossman.events"), ["ok", unreadable, "ok", unreadable]);
    assert_eq!(bench.endings("bossman.trace"), ["ok", unreadable, unreadable, "ok", unreadable, unreadable]);
    let looks = bench.ledger.events_of("bossman.overview");
    let unread: Vec<_> = looks
        .iter()
        .filter(|event| event.outcome == Outcome::Ok)
        .map(|event| event.output_value()["unread"].clone())
        .collect();
    assert_eq!(unread, [0, 1, 1], "each look says whether it was at a part");
}

#[tokio::test]
async fn a_ledger_of_the_root_that_lost_its_identity_is_not_passed_over() {
    let root = tempfile::tempdir().expect("make a temporary directory");
    let open = || Ledger::options().root(root.path()).open().expect("open a ledger");
    let (own, other) = (open(), open());
    let (lost, lost_id) = (other.path().expect("on disk").to_owned(), other.id());
    other.close().expect("close");
    let ctx = own.context("acme", "prod").build().expect("a valid scope");
    let bossman = Bossman::new(own).with_root(root.path());
    let unread = async |bossman: &Bossman| {
        let freshness = bossman.overview(&ctx, WINDOW).await.expect("overview").freshness;
        assert_eq!(freshness.is_complete, freshness.unread.is_empty());
        freshness.unread.iter().map(|unread| unread.ledger_id).collect::<Vec<_>>()
    };
    assert_eq!(unread(&bossman).await, []);
    std::fs::remove_file(lost.join("ledger.json")).expect("remove the identity");
    assert_eq!(unread(&bossman).await, [], "its log is known by now, and is read on");
    let bossman = bossman.with_root(root.path());
    assert_eq!(unread(&bossman).await, [Some(lost_id)]);
    let refused = bossman.clone().refusing_parts(true).overview(&ctx, WINDOW).await;
    assert!(matches!(refused, Err(BossmanError::LedgerUnreadable { .. })), "{refused:?}");
    // One that is just being made has written nothing yet.
    std::fs::remove_dir_all(lost.join("log")).expect("remove the log");
    assert_eq!(unread(&bossman).await, []);
}

#[tokio::test]
async fn nothing_of_another_scope_is_shown() {
    let (bench, bossman, ctx, foreign) = worked().await;
    let root = tempfile::tempdir().expect("make a temporary directory");
    let other = Ledger::options().root(root.path()).open().expect("open another ledger");
    let context = |tenant: &str, env: &str| {
        let builder = other.context(tenant, env).trace_id(trace_id(3));
        builder.build().expect("a valid scope")
    };
    for (tenant, env) in [("acme", "prod"), ("globex", "prod")] {
        let switch = &bench.engines.kill_switch;
        switch.check(&context(tenant, env), &Target::CHAT).await.expect("check");
    }
    other.flush().expect("flush");
    let bossman = bossman.with_ledger(other.path().expect("on disk"));
    let nobody = bench.context("initech", "prod");
    let staging = bench.context("acme", "staging");
    for ctx in [&nobody, &staging] {
        let overview = bossman.overview(ctx, WINDOW).await.expect("overview");
        assert_eq!((overview.totals.events, overview.by_code.len()), (0, 0));
        assert!(overview.latest_failures.is_empty());
        let events = bossman.events(ctx, &EventFilter::default(), &first(50)).await.expect("events").events;
        assert!(events.iter().all(|entry| entry.event.scope() == ctx.scope()), "its own looks only");
        let refused = bossman.trace(ctx, trace_id(3)).await;
        assert!(matches!(refused, Err(BossmanError::TraceNotFound { .. })), "{refused:?}");
    }
    for ctx in [&ctx, &foreign] {
        let events = bossman.events(ctx, &EventFilter::default(), &first(200)).await.expect("events").events;
        assert!(!events.is_empty());
        assert!(events.iter().all(|entry| entry.event.scope() == ctx.scope()));
        let trace = bossman.trace(ctx, trace_id(3)).await.expect("its own part of the trace");
        let names = |node: &TraceNode| (node.surface.clone(), node.children.len());
        assert_eq!(trace.roots.iter().map(names).collect::<Vec<_>>(), [("kill_switch.check".to_owned(), 1)]);
    }
    // `next` of one scope leads into no other.
    let page = bossman.events(&foreign, &EventFilter::default(), &first(1)).await.expect("a page");
    let page = PageRequest { limit: 200, after: page.next };
    let events = bossman.events(&nobody, &EventFilter::default(), &page).await.expect("events").events;
    assert!(events.iter().all(|entry| entry.event.scope() == nobody.scope()));
}
