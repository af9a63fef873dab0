//! The list of events: filters, pages, and the ways from it to an event and its trace.

use std::collections::BTreeSet;

use dataset_events::EventPlace;

use crate::stage::{TENANT, with_stage};

/// Links to events in the list.
const EVENTS: &str = "tbody th a";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_narrow_the_list_and_are_cleared() {
    with_stage(async |stage, browser| {
        stage.sign_in(browser, TENANT, "ada").await;
        browser.follow("nav.side a[href$='/events']").await;
        browser.fill("#surface", "chat.*").await;
        browser.js("document.querySelector('#outcome').value = 'denied'").await;
        browser.follow("form.filters button").await;
        let query = browser.path().await;
        assert!(query.contains("surface=chat.*") && query.contains("outcome=denied"), "{query}");
        let outcomes = browser.texts("td[data-label=Outcome]").await;
        assert!(!outcomes.is_empty() && outcomes.iter().all(|outcome| outcome == "denied"), "{outcomes:?}");
        let surfaces = browser.texts("td[data-label=Surface]").await;
        assert!(surfaces.iter().all(|surface| surface.starts_with("chat.")), "{surfaces:?}");
        let expected = stage.events(TENANT).await.into_iter();
        let expected =
            expected.filter(|event| event.surface.starts_with("chat.") && event.outcome.as_str() == "denied");
        assert_eq!(outcomes.len(), expected.count(), "all that fit");

        // A code in the list is a way to all events that have it.
        browser.follow("td[data-label=Code] a").await;
        let code = browser.js("return document.querySelector('#code').value").await;
        let codes: BTreeSet<_> = browser.texts("td[data-label=Code]").await.into_iter().collect();
        assert_eq!(codes, BTreeSet::from([code.as_str().expect("a code").to_owned()]));
        browser.follow("form.filters a").await;
        assert_eq!(browser.path().await, "/dashboard/events");

        browser.fill("#since", "2001-01-01T00:00").await;
        browser.fill("#until", "2001-01-02T00:00").await;
        browser.follow("form.filters button").await;
        assert_eq!(browser.texts(EVENTS).await.len(), 0);
        assert_eq!(
            browser.texts(".nothing").await,
            ["No event fits. Widen the times, or clear the filters."]
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_the_list_have_each_event_once_while_new_ones_come() {
    with_stage(async |stage, browser| {
        stage.sign_in(browser, TENANT, "ada").await;
        let written = stage.events(TENANT).await;
        browser.open(&stage.url("/events?limit=20")).await;
        let mut listed = Vec::new();
        loop {
            let hrefs = browser.attributes(EVENTS, "href").await;
            assert!(!hrefs.is_empty() && hrefs.len() <= 20, "{}", hrefs.len());
            listed.extend(hrefs.into_iter().map(|href| href.rsplit('/').next().expect("a place").to_owned()));
            if browser.attributes("a[rel=next]", "href").await.is_empty() {
                break;
            }
            // Reading each page is itself an event in front of the first one.
            browser.follow("a[rel=next]").await;
        }
        let distinct: BTreeSet<&String> = listed.iter().collect();
        assert_eq!(distinct.len(), listed.len(), "none is met twice");
        let missing: Vec<_> =
            written.iter().filter(|event| !distinct.contains(&EventPlace::of(event).to_string())).collect();
        assert!(
            written.len() > 60 && missing.is_empty(),
            "{} of {}: {missing:?}",
            missing.len(),
            written.len()
        );
        browser.follow(".paging a").await;
        assert_eq!(browser.path().await, "/dashboard/events?limit=20", "back to the newest");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_leads_to_its_event_its_trace_and_its_chain() {
    with_stage(async |stage, browser| {
        stage.sign_in(browser, TENANT, "ada").await;
        browser.open(&stage.url("/events?surface=gate.*&outcome=denied")).await;
        browser.follow(EVENTS).await;
        let facts = browser.texts("dl.facts dt").await;
        for fact in
            ["Surface", "Outcome", "Code", "User", "Trace", "Ledger", "Hash", "Previous hash", "Checkpoint"]
        {
            assert!(facts.iter().any(|shown| shown == fact), "{fact} in {facts:?}");
        }
        let event = browser.path().await;
        browser.follow("dl.facts a[href*='/traces/']").await;
        assert_eq!(browser.texts("h1").await, ["Trace"]);
        let services: BTreeSet<_> = browser.texts("td[data-label=Service]").await.into_iter().collect();
        assert_eq!(
            services,
            BTreeSet::from(["engines".to_owned(), "gateway".to_owned()]),
            "across both services"
        );
        let calls = browser.texts(".waterfall tbody th").await;
        assert!(calls.len() > 3 && calls[0].ends_with("http.request"), "{calls:?}");
        assert_eq!(browser.count(".waterfall svg rect").await, calls.len(), "a bar for each call");
        let failed = browser.attributes(".waterfall rect.failed", "class").await;
        assert!(!failed.is_empty(), "the denied call stands out");
        let hrefs = browser.attributes(".waterfall th a", "href").await;
        assert!(hrefs.contains(&event), "{event} in {hrefs:?}");

        // From an event to its neighbours in the chain and back.
        browser.follow(".waterfall th a").await;
        let here = browser.path().await;
        let before = "dl.facts a[href*='/events/']:not([href*='?'])";
        browser.follow(before).await;
        assert_ne!(browser.path().await, here);
        assert!(browser.texts(".status.good").await.iter().any(|status| status == "chained"));
        let neighbours = browser.attributes(before, "href").await;
        assert!(neighbours.contains(&here), "{here} in {neighbours:?}");
    })
    .await;
}
