//! What the script adds, and that nothing lacks without it.

use serde_json::json;

use crate::browser::View;
use crate::stage::{ENV, TENANT, with_stage};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_page_shows_what_came_without_being_loaded_anew() {
    with_stage(async |stage, browser| {
        stage.sign_in(browser, TENANT, "ada").await;
        browser.open(&stage.url("/events?surface=orders.place")).await;
        assert_eq!(browser.texts("tbody th").await.len(), 0);
        assert_eq!(
            browser.attributes("#live", "aria-pressed").await,
            ["false"],
            "off until somebody turns it on"
        );
        browser.js("window.isTheSamePage = true; document.querySelector('#code').value = 'half.typed'").await;
        let ctx = stage.world.gateway.ledger().context(TENANT, ENV).build().expect("a context");
        ctx.event("orders.place").record().expect("recorded");
        stage.flush().await;
        browser.click("#live").await;
        browser.wait_until("document.querySelectorAll('tbody th').length === 1").await;
        assert_eq!(browser.attributes("#live", "aria-pressed").await, ["true"]);
        assert_eq!(browser.js("return window.isTheSamePage").await, true);
        let says = browser.texts("#live-status").await;
        assert!(says[0].starts_with("Updated "), "{says:?}");

        // It goes on by itself, and on the next page.
        ctx.event("orders.place").record().expect("recorded");
        stage.flush().await;
        browser.wait_until("document.querySelectorAll('tbody th').length === 2").await;
        browser.follow("nav.side a").await;
        assert_eq!(browser.attributes("#live", "aria-pressed").await, ["true"]);
        browser.click("#live").await;
        assert_eq!(browser.attributes("#live", "aria-pressed").await, ["false"]);
        assert_eq!(browser.troubles().await, Vec::<String>::new());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_works_without_scripts() {
    with_stage(async |stage, browser| {
        browser.tools("Emulation.setScriptExecutionDisabled", json!({"value": true})).await;
        browser.open(&stage.url("/events?outcome=denied")).await;
        browser.fill("#token", &stage.token(TENANT, "ada")).await;
        browser.follow("form.sign-in button").await;
        assert_eq!(browser.path().await, "/dashboard/events?outcome=denied");
        assert!(browser.texts("td[data-label=Outcome]").await.iter().all(|outcome| outcome == "denied"));
        assert_eq!(browser.count("#live").await, 0, "no button that would do nothing");
        browser.fill("#surface", "chat.*").await;
        browser.follow("form.filters button").await;
        let surfaces = browser.texts("td[data-label=Surface]").await;
        assert!(
            !surfaces.is_empty() && surfaces.iter().all(|surface| surface.starts_with("chat.")),
            "{surfaces:?}"
        );
        browser.follow("tbody th a").await;
        assert_eq!(browser.texts("h1").await, ["Event"]);
        for path in ["", "?window=hour", "/panels/kpi", "/panels/budget", "/coverage", "/health"] {
            assert_eq!(browser.open(&stage.url(path)).await, 200);
            assert_eq!(browser.texts("h1").await.len(), 1, "{path}");
            assert!(!browser.texts(".card").await.is_empty(), "{path}");
        }
        browser.view(View::Phone).await;
        browser.follow("form[action$='/health/verify'] button").await;
        assert_eq!(browser.path().await, "/dashboard/health");
        browser.follow(".session button").await;
        assert_eq!(browser.path().await, "/dashboard/sign-in");
    })
    .await;
}
