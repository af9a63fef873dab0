//! Names and values that somebody chose to do harm: on every page they are texts.

use dataset_events::{Ledger, RequestContext};
use serde_json::json;

use crate::browser::{Browser, View};
use crate::sinks;
use crate::stage::{ENV, Stage, with_stage};

const MARKUP: &str = "<script>window.ran=1</script><img src=x onerror=window.ran=1><b class=made>bold</b>";
const ATTRIBUTE: &str = "\" autofocus onfocus=window.ran=1 style=\"position:fixed\" class=\"made";
const CLOSING: &str = "]]>--></title></code></script><svg class=made onload=window.ran=1>";
const DIRECTION: &str = "\u{202e}gpj.exe\u{2066}";
/// A user's id is printable ASCII without blanks, which is enough for markup.
const USER: &str = "\"><img/class=made/src=x/onerror=window.ran=1>";
const TENANT: &str = "tenant-of-128-bytes.tenant-of-128-bytes.tenant-of-128-bytes.tenant-of-128-bytes.tenant-of-128-bytes.tenant-of-128-bytes.and-eigh";

/// 4 KiB in which no line can be broken.
fn long() -> String {
    "W".repeat(4_096)
}

fn texts() -> [String; 5] {
    [MARKUP.to_owned(), ATTRIBUTE.to_owned(), CLOSING.to_owned(), DIRECTION.to_owned(), long()]
}

/// Events that hold each text wherever a text can be. Names of captures and surfaces are checked when they are
/// recorded: no text of a user gets there.
fn record(ledger: &Ledger) -> RequestContext {
    let ctx = ledger.context(TENANT, ENV).user_id(USER).build().expect("a context");
    for text in texts() {
        let event = ctx.event("orders.place").input("name", &text).output("names", &[&text]);
        event
            .source_ref("order", text.get(..256).unwrap_or(&text))
            .change("name", &text, &text)
            .record()
            .expect("recorded");
    }
    ctx
}

/// A ledger of a service whose name is one of the texts, beside the others.
fn hostile_service(stage: &Stage, ctx: &RequestContext) -> Ledger {
    let root = stage.world.gateway.started().ledger.parent().expect("a root").to_owned();
    let options =
        Ledger::options().root(root).service(MARKUP, DIRECTION).instance(long()).journal_bytes(4 << 20);
    let ledger = options.open().expect("a ledger");
    let parent = dataset_events::TraceParent::new(ctx.trace_id(), ledger.new_span_id(), true);
    let other = ledger.context(TENANT, ENV).user_id(USER).traceparent(parent).build().expect("a context");
    other.event("payments.charge").input("name", MARKUP).record().expect("recorded");
    ledger.flush().expect("flush");
    ledger
}

/// Texts as they come through the services: in names of controls, of whom they are said.
async fn work(stage: &Stage) {
    let token = stage.token(TENANT, USER);
    for (path, body) in [
        ("/v1/budget/policy", json!({"limit": "20", "currency": "EUR"})),
        ("/v1/kill-switches/chat", json!({"change": "engage", "reason": "incident"})),
        ("/v1/kpis/kpi", json!({"unit": "%", "direction": "higher_is_better"})),
        ("/v1/temperature/bounds", json!({"floor": "5", "ceiling": "60", "guards": "vector"})),
        ("/v1/vector/documents/one", json!({"title": MARKUP, "text": MARKUP})),
    ] {
        let request = stage.world.request(reqwest::Method::PUT, path, &token).json(&body);
        let answer = stage.world.send(request.header("user-agent", MARKUP)).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    }
    stage.world.json(reqwest::Method::POST, "/v1/chat/threads", &token, json!({"title": MARKUP})).await;
}

/// What a page did or made because of what it shows; empty when that is nothing.
async fn harm(browser: &Browser, view: View, path: &str) -> Vec<String> {
    let mut harm = Vec::new();
    let made = browser
        .js("return {
            ran: window.ran ?? null,
            made: document.querySelectorAll('.made, img, b, iframe, object, embed, style, [onload], [onerror], [onfocus], [style]').length,
            scripts: document.scripts.length,
            directions: /[\\u202a-\\u202e\\u2066-\\u2069]/.test(document.documentElement.outerHTML),
        }")
        .await;
    if made != json!({"ran": null, "made": 0, "scripts": 1, "directions": false}) {
        harm.push(made.to_string());
    }
    // Had anything tried to run, the policy would have been violated and said so.
    harm.extend(browser.troubles().await);
    harm.extend(browser.overflow(view).await);
    harm.into_iter().map(|harm| format!("{path:.60} in {}: {harm}", view.name())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_names_are_texts_on_every_page() {
    with_stage(async |stage, browser| {
        let ctx = record(stage.world.gateway.ledger());
        let other = hostile_service(stage, &ctx);
        work(stage).await;
        stage.sign_in(browser, TENANT, USER).await;
        let mut paths = vec![
            String::new(),
            "/events".to_owned(),
            format!("/events?user={}", encoded(USER)),
            format!("/events?surface={}", encoded("<script>window.ran=1</script>")),
            format!("/events?outcome={}", encoded(MARKUP)),
            format!("/{}", encoded("<script>window.ran=1</script>")),
            format!("/traces/{}", ctx.trace_id()),
            "/coverage".to_owned(),
            "/health".to_owned(),
        ];
        paths.extend(
            ["controls", "budget", "kpi", "temperature", "activity"].map(|panel| format!("/panels/{panel}")),
        );
        for event in stage.events(TENANT).await {
            if event.surface == "orders.place" || event.surface == "payments.charge" {
                paths.push(format!("/events/{}", dataset_events::EventPlace::of(&event)));
            }
        }
        assert!(paths.len() >= 20, "{paths:?}");
        let mut found = Vec::new();
        for view in [View::Light, View::Phone] {
            browser.view(view).await;
            for path in &paths {
                browser.open(&stage.url(path)).await;
                found.extend(harm(browser, view, path).await);
            }
            // The last page, an event in full, is the one that shows most of them.
            browser.screenshot(&format!("hostile-event-{}", view.name())).await;
            browser.open(&stage.url("/events")).await;
            browser.screenshot(&format!("hostile-events-{}", view.name())).await;
        }
        assert!(found.is_empty(), "{}", found.join("\n"));
        shown_as_they_are(stage, browser).await;
        tokio::task::spawn_blocking(move || other.close()).await.expect("not cancelled").expect("close");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_words_of_a_sink_are_texts_for_the_operator() {
    with_stage(async |stage, browser| {
        let text = format!(" {MARKUP} {ATTRIBUTE} {CLOSING} {DIRECTION} {}", long());
        sinks::add_to(stage.world.gateway.ledger(), &text).await;
        stage.sign_in_operator(browser).await;
        let mut found = Vec::new();
        for view in [View::Light, View::Phone] {
            browser.view(view).await;
            browser.open(&format!("{}/operator", stage.operators)).await;
            found.extend(harm(browser, view, "/operator").await);
            browser.screenshot(&format!("hostile-operator-{}", view.name())).await;
            let targets = browser.texts("table.sinks td.target").await.join(" ");
            let remarks = browser.texts("table.sinks tr.remarks").await.join(" ");
            for text in [MARKUP, ATTRIBUTE, CLOSING, "\u{27e8}U+202E\u{27e9}gpj.exe"] {
                assert_eq!(targets.matches(text).count(), 3, "{text} in {targets}");
                // Of the sink that waits and of the one that stopped.
                assert!(remarks.matches(text).count() >= 2, "{text} in {remarks}");
            }
            assert_eq!(targets.matches(&long()).count(), 3, "whole in {targets}");
        }
        assert!(found.is_empty(), "{}", found.join("\n"));
    })
    .await;
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Inert is not left out: each text is on the page of its event, to its last letter.
async fn shown_as_they_are(stage: &Stage, browser: &Browser) {
    let mut shown = String::new();
    for event in stage.events(TENANT).await {
        if event.surface == "orders.place" {
            browser.open(&stage.url(&format!("/events/{}", dataset_events::EventPlace::of(&event)))).await;
            let text = browser.js("return document.querySelector('main').textContent").await;
            shown += text.as_str().expect("a text");
        }
    }
    for text in
        [MARKUP, ATTRIBUTE, CLOSING, USER, &long(), "\u{27e8}U+202E\u{27e9}gpj.exe\u{27e8}U+2066\u{27e9}"]
    {
        assert!(shown.contains(text), "{text:.80} is on a page");
    }
    assert!(!shown.contains(DIRECTION));
}
