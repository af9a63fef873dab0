//! The pages by keyboard alone: everything is reached, in the order of the page, and it is seen where one is.

use fantoccini::key::Key;

use crate::browser::{Browser, View};
use crate::stage::{TENANT, with_stage};

/// What has the focus: its text or name, and whether it is seen that it has.
#[derive(Debug, PartialEq)]
struct Focus {
    is: String,
    is_outlined: bool,
    is_in_view: bool,
}

async fn focus(browser: &Browser) -> Focus {
    let found = browser
        .js("
            const one = document.activeElement, style = getComputedStyle(one), box = one.getBoundingClientRect();
            const is = one === document.body ? 'body' : (one.innerText?.trim() || one.id || one.getAttribute('aria-label') || one.tagName);
            return [is, style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
                box.width > 0 && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth];")
        .await;
    Focus {
        is: found[0].as_str().expect("a text").to_owned(),
        is_outlined: found[1] == true,
        is_in_view: found[2] == true,
    }
}

/// Everything that the tabulator reaches, in the order in which it does.
async fn tabbed_through(browser: &Browser) -> Vec<Focus> {
    let mut all = Vec::new();
    loop {
        browser.press(&Key::Tab.to_string()).await;
        let focus = focus(browser).await;
        // Behind the last one there is the browser's own, and then the page again.
        if focus.is == "body"
            || all.first().is_some_and(|first: &Focus| first.is == focus.is) && all.len() > 1
        {
            return all;
        }
        all.push(focus);
        assert!(all.len() < 500, "it ends: {all:?}");
    }
}

/// How many elements there are to be reached.
async fn reachable(browser: &Browser) -> usize {
    let body = "return [...document.querySelectorAll('a[href], button, input, select, summary, [tabindex=\"0\"]')]\
        .filter((one) => one.checkVisibility() && !one.disabled).length";
    browser.js(body).await.as_u64().expect("a count") as usize
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tabulator_reaches_everything_and_it_is_seen_where() {
    with_stage(async |stage, browser| {
        stage.sign_in(browser, TENANT, "ada").await;
        let event = stage.event_path(TENANT, |event| event.surface == "kill_switch.update").await;
        for view in [View::Light, View::Dark, View::Phone] {
            browser.view(view).await;
            for path in ["", "/events?limit=5", "/panels/kpi", &event, "/health"] {
                browser.open(&stage.url(path)).await;
                let there = reachable(browser).await;
                let reached = tabbed_through(browser).await;
                let what = format!("{path} in {}", view.name());
                assert_eq!(
                    reached.len(),
                    there,
                    "{what}: {:?}",
                    reached.iter().map(|one| &one.is).collect::<Vec<_>>()
                );
                let unseen: Vec<_> =
                    reached.iter().filter(|one| !one.is_outlined || !one.is_in_view).collect();
                assert!(unseen.is_empty(), "{what}: {unseen:?}");
                let order: Vec<&str> = reached.iter().map(|one| one.is.as_str()).collect();
                assert_eq!(order[0], "Skip to the content", "{what}");
                let at = |name: &str| {
                    order.iter().position(|one| *one == name).unwrap_or_else(|| panic!("{name} in {order:?}"))
                };
                assert!(
                    at("Sign out") < at("Overview") && at("Overview") < at("Ledger health"),
                    "{what}: {order:?}"
                );
                assert!(at("Ledger health") < at("Live"), "{what}: the content is behind the navigation");
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_alone_filter_the_list_and_open_an_event() {
    with_stage(async |stage, browser| {
        stage.sign_in(browser, TENANT, "ada").await;
        browser.open(&stage.url("/events")).await;
        // The first stop leads past the navigation.
        browser.press(&Key::Tab.to_string()).await;
        browser.press(&Key::Enter.to_string()).await;
        assert!(browser.path().await.starts_with("/dashboard/events"));
        let is_main = "return document.activeElement === document.querySelector('main')";
        assert_eq!(browser.js(is_main).await, true, "the content has the focus");
        while focus(browser).await.is != "surface" {
            browser.press(&Key::Tab.to_string()).await;
        }
        browser.press("kill_switch.*").await;
        browser.press(&Key::Enter.to_string()).await;
        browser.wait_until("location.search.includes('surface=kill_switch.*')").await;
        let surfaces = browser.texts("td[data-label=Surface]").await;
        assert!(
            !surfaces.is_empty() && surfaces.iter().all(|surface| surface.starts_with("kill_switch.")),
            "{surfaces:?}"
        );
        let first = browser.texts("tbody th a").await.remove(0);
        while focus(browser).await.is != first {
            browser.press(&Key::Tab.to_string()).await;
        }
        browser.press(&Key::Enter.to_string()).await;
        browser.wait_until("document.querySelector('h1').innerText === 'Event'").await;
    })
    .await;
}
