//! Signing in and out, the end of a session, and what of other tenants is reached: nothing.

use crate::browser::Browser;
use crate::stage::{Stage, TENANT, with_stage};

/// Types a token into the page for signing in.
async fn type_token(browser: &Browser, token: &str) {
    browser.fill("#token", token).await;
    browser.follow("form.sign-in button").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_signs_in_by_form_comes_back_and_signs_out() {
    with_stage(async |stage, browser| {
        assert_eq!(browser.open(&stage.url("/events?outcome=error")).await, 401);
        assert_eq!(browser.texts("h1").await, ["Sign in"]);
        type_token(browser, &stage.token(TENANT, "ada")).await;
        assert_eq!(browser.path().await, "/dashboard/events?outcome=error", "back where it was asked for");
        assert_eq!(browser.texts(".scope .name").await, [TENANT]);
        assert_eq!(browser.texts(".who").await, ["ada"]);
        assert_eq!(browser.js("return document.cookie").await, "", "no script reads the token");
        browser.follow(".session button").await;
        assert_eq!((browser.path().await.as_str(), browser.cookies().await.len()), ("/dashboard/sign-in", 0));
        assert_eq!(browser.open(&stage.url("")).await, 401);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_link_signs_in_and_its_address_is_gone() {
    with_stage(async |stage, browser| {
        stage.sign_in(browser, TENANT, "ada").await;
        assert_eq!(browser.path().await, "/dashboard");
        assert_eq!(browser.texts("h1").await, ["Overview"]);
        let token = stage.token(TENANT, "ada");
        let page = browser.js("return document.documentElement.outerHTML").await;
        let signature = token.rsplit('.').next().expect("three parts");
        assert!(!page.as_str().expect("a page").contains(signature), "no token is in the page");
        // The history has the clean address alone.
        browser.open(&stage.url("/events")).await;
        browser.js("history.back()").await;
        browser.wait_until("document.querySelector('h1').innerText === 'Overview'").await;
        assert_eq!(browser.path().await, "/dashboard");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_none_is_refused_with_a_reason() {
    with_stage(async |stage, browser| {
        browser.open(&stage.url("/sign-in")).await;
        type_token(browser, "not.a.token").await;
        assert_eq!(browser.status().await, 401);
        let says = browser.texts("[role=alert]").await;
        assert_eq!(says, ["The token was not accepted. Sign in again with another one."]);
        assert!(browser.cookies().await.is_empty(), "the cookie is taken away");
        type_token(browser, &stage.token(TENANT, "ada")).await;
        assert_eq!(browser.texts("h1").await, ["Overview"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_ends_with_its_token_and_goes_on_with_a_new_one() {
    with_stage(async |stage, browser| {
        stage.sign_in(browser, TENANT, "ada").await;
        assert_eq!(browser.open(&stage.url("/events?outcome=error")).await, 200);
        browser.click("#live").await;
        let is_refreshed = "document.querySelector('#live-status').innerText.startsWith('Updated ')";
        browser.wait_until(is_refreshed).await;
        // However long it took to come here: from now on the session has seconds. Nobody does anything any more; the
        // page finds out by itself, in the live refresh that was turned on while all was well.
        browser.set_session(&stage.url(""), &stage.token_for(TENANT, "ada", 6)).await;
        browser.wait_until("document.querySelector('h1').innerText === 'Sign in'").await;
        let says = browser.texts("[role=alert]").await;
        assert_eq!(says, ["Your session has expired. Sign in again with a new token."]);
        assert!(browser.cookies().await.is_empty(), "the cookie is taken away");
        type_token(browser, &stage.token(TENANT, "ada")).await;
        assert_eq!(browser.path().await, "/dashboard/events?outcome=error");
        assert_eq!(browser.texts("h1").await, ["Events"]);
    })
    .await;
}

/// What a page says, the id of its request aside.
async fn said(browser: &Browser) -> String {
    let body = "document.querySelectorAll('dl.facts dd').forEach((fact, at) => { if (at === 2) fact.remove() });\
        return document.body.innerText";
    browser.js(body).await.as_str().expect("a text").to_owned()
}

async fn address_of(stage: &Stage, tenant: &str) -> [String; 2] {
    [
        stage.event_path(tenant, |event| event.surface == "budget.set_policy").await,
        stage.trace_path(tenant).await,
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_belongs_to_another_tenant_is_not_there() {
    with_stage(async |stage, browser| {
        let [event, trace] = address_of(stage, TENANT).await;
        let nowhere = [
            "/events/1700000000000000.1.01900000-0000-7000-8000-000000000001",
            &format!("/traces/{}", "7".repeat(32)),
        ]
        .map(str::to_owned);
        stage.sign_in(browser, TENANT, "ada").await;
        for path in [&event, &trace] {
            assert_eq!(browser.open(&stage.url(path)).await, 200, "{path} is there for its own tenant");
        }
        stage.sign_in(browser, "globex", "u_1").await;
        for (foreign, nowhere) in [event, trace].iter().zip(&nowhere) {
            let mut pages = Vec::new();
            for path in [foreign, nowhere] {
                assert_eq!(browser.open(&stage.url(path)).await, 404, "{path}");
                assert_eq!(browser.texts("h1").await, ["Not found"]);
                pages.push(said(browser).await);
            }
            assert_eq!(pages[0], pages[1], "as what nobody has");
        }
        // And the list has nothing of it.
        browser.open(&stage.url("/events?limit=200")).await;
        let page = browser.js("return document.documentElement.outerHTML").await;
        let page = page.as_str().expect("a page");
        assert!(page.contains("u_1") && !page.contains("grace"), "its own users, and no others");
    })
    .await;
}
