//! Every page as people see it: kept as a picture, examined by axe, within its width, without a complaint of its own.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::axe;
use crate::browser::{Browser, View};
use crate::sinks;
use crate::stage::{Stage, TENANT, with_stage};

const VERIFIED_WITHIN: Duration = Duration::from_secs(180);

/// What was wrong, on all pages.
#[derive(Default)]
struct Findings(Vec<String>);

impl Findings {
    /// Looks at the page that is shown, under a name.
    async fn look(&mut self, browser: &Browser, view: View, name: &str) {
        let found = axe::examine(browser).await;
        let said = |what: &str, texts: Vec<String>| -> Vec<String> {
            texts.into_iter().map(|text| format!("{name} in {}: {what}: {text}", view.name())).collect()
        };
        for minor in said("axe, below serious", found.minor) {
            println!("{minor}");
        }
        self.0.extend(said("axe", found.serious));
        self.0.extend(said("reported by the page", browser.troubles().await));
        self.0.extend(said("too wide", browser.overflow(view).await));
        browser.screenshot(&format!("{name}-{}", view.name())).await;
    }

    /// Opens an address that is answered with this status, and looks at it.
    async fn page(&mut self, browser: &Browser, view: View, name: &str, status: u64, url: &str) {
        let came = browser.open(url).await;
        if came != status {
            self.0.push(format!("{name} in {}: {url} was answered {came} instead of {status}", view.name()));
        }
        self.look(browser, view, name).await;
    }

    fn assert_none(self) {
        assert!(self.0.is_empty(), "{} findings:\n{}", self.0.len(), self.0.join("\n"));
    }
}

/// Every page of a scope with content.
async fn pages(stage: &Stage) -> Vec<(&'static str, u64, String)> {
    let failed =
        stage.event_path(TENANT, |event| event.surface == "chat.send_message" && event.code().is_some());
    let changed = stage.event_path(TENANT, |event| event.surface == "kill_switch.update");
    let pages = [
        ("overview", 200, String::new()),
        ("overview-hour", 200, "?window=hour".to_owned()),
        ("overview-all", 200, "?window=all".to_owned()),
        ("events", 200, "/events".to_owned()),
        ("events-filtered", 200, "/events?outcome=denied".to_owned()),
        ("events-none", 200, "/events?surface=no.such".to_owned()),
        ("event", 200, changed.await),
        ("event-failed", 200, failed.await),
        ("trace", 200, stage.trace_path(TENANT).await),
        ("controls", 200, "/panels/controls".to_owned()),
        ("budget", 200, "/panels/budget".to_owned()),
        ("kpi", 200, "/panels/kpi".to_owned()),
        ("temperature", 200, "/panels/temperature".to_owned()),
        ("activity", 200, "/panels/activity".to_owned()),
        ("coverage", 200, "/coverage".to_owned()),
        ("health", 200, "/health".to_owned()),
        ("not-found", 404, "/events/nothing".to_owned()),
        ("not-understood", 400, "/events?outcome=wrong".to_owned()),
        ("not-allowed", 403, "/operator".to_owned()),
    ];
    pages.map(|(name, status, path)| (name, status, stage.url(&path))).into()
}

/// Asks for the streams of the scope to be verified, and waits for the result.
async fn verify(stage: &Stage, browser: &Browser) {
    browser.open(&stage.url("/health")).await;
    browser.follow("form[action$='/health/verify'] button").await;
    let deadline = Instant::now() + VERIFIED_WITHIN;
    while !browser.texts(".status").await.iter().any(|status| status == "verified") {
        assert!(Instant::now() < deadline, "no result of verifying: {:?}", browser.texts("main").await);
        tokio::time::sleep(Duration::from_millis(100)).await;
        browser.open(&stage.url("/health")).await;
    }
}

async fn look_at_all(stage: &Stage, browser: &Browser, view: View) {
    let mut findings = Findings::default();
    browser.view(view).await;
    findings.page(browser, view, "sign-in", 200, &stage.url("/sign-in")).await;
    findings.page(browser, view, "sign-in-first", 401, &stage.url("/coverage")).await;
    stage.sign_in(browser, TENANT, "ada").await;
    for (name, status, url) in pages(stage).await {
        findings.page(browser, view, name, status, &url).await;
    }
    verify(stage, browser).await;
    findings.look(browser, view, "health-verified").await;
    findings.assert_none();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_is_sound_in_light() {
    with_stage(async |stage, browser| look_at_all(stage, browser, View::Light).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_is_sound_in_the_dark() {
    with_stage(async |stage, browser| look_at_all(stage, browser, View::Dark).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_is_sound_on_a_phone() {
    with_stage(async |stage, browser| look_at_all(stage, browser, View::Phone).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_without_events_say_so() {
    with_stage(async |stage, browser| {
        let mut findings = Findings::default();
        for view in [View::Light, View::PhoneDark] {
            browser.view(view).await;
            for (name, path) in [
                ("overview", ""),
                ("events", "/events"),
                ("controls", "/panels/controls"),
                ("budget", "/panels/budget"),
                ("kpi", "/panels/kpi"),
                ("temperature", "/panels/temperature"),
                ("activity", "/panels/activity"),
                ("coverage", "/coverage"),
                ("health", "/health"),
            ] {
                // A scope for each: looking at the first page of one leaves its first events there.
                let token = stage.token(&format!("new-{name}-{}", view.name()), "ada");
                browser.set_session(&stage.url(""), &token).await;
                findings.page(browser, view, &format!("empty-{name}"), 200, &stage.url(path)).await;
                // The ledgers are there, whosever events they have.
                let says =
                    browser.texts(if name == "health" { ".tile .note" } else { ".empty, .nothing" }).await;
                assert!(!says.is_empty() && says.iter().all(|text| !text.is_empty()), "{name}: {says:?}");
            }
        }
        findings.assert_none();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_operator_sees_and_what_takes_long_is_sound_too() {
    with_stage(async |stage, browser| {
        let mut findings = Findings::default();
        let operators = &stage.operators;
        stage.sign_in_operator(browser).await;
        browser.open(&format!("{operators}/operator")).await;
        let says = browser.texts(".nothing").await;
        assert!(says.iter().any(|text| text.contains("to no sink")), "{says:?}");
        sinks::add_to(stage.world.gateway.ledger(), "").await;
        for view in [View::Light, View::Dark, View::PhoneDark] {
            browser.view(view).await;
            stage.sign_in_operator(browser).await;
            findings.page(browser, view, "operator", 200, &format!("{operators}/operator")).await;
            let names = browser.texts("table.sinks tbody th").await;
            let names: Vec<_> = names.iter().filter_map(|name| name.split_whitespace().next()).collect();
            assert_eq!(names, ["archive", "warehouse", "search", "partner"]);
            let remarks = browser.texts("table.sinks .remarks").await.join(" ");
            assert!(remarks.contains("503") && remarks.contains("permission denied"), "{remarks}");
            let visited = format!("{operators}/operator/scopes/{TENANT}/prod");
            findings.page(browser, view, "operator-visiting", 200, &visited).await;
            let system = format!("{operators}/operator/scopes/$system/$system/events");
            findings.page(browser, view, "operator-system", 200, &system).await;
            let health = format!("{operators}/operator/scopes/{TENANT}/prod/health");
            findings.page(browser, view, "health-sinks", 200, &health).await;
            browser.set_session(&stage.slow, &stage.token(TENANT, "ada")).await;
            findings.page(browser, view, "still-reading", 503, &format!("{}/panels/slow", stage.slow)).await;
        }
        // The page comes by itself once there is something to show.
        stage.may_end.store(true, Ordering::Relaxed);
        browser.wait_until("document.querySelector('.tile')?.innerText.includes('At last')").await;
        findings.assert_none();
    })
    .await;
}
