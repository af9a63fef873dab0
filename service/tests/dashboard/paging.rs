//! The list of events: filters, and pages that neither miss nor repeat.

use std::collections::HashSet;

use crate::stage::{Stage, context, hrefs, texts};

#[tokio::test]
async fn pages_hold_each_event_once_while_events_are_appended() {
    let stage = Stage::new().await;
    for number in 0..57_u32 {
        let ledger = if number % 2 == 0 { &stage.orders } else { &stage.payments };
        context(ledger, "acme").event("orders.place").input("number", &number).record().unwrap();
    }
    stage.flush();
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let json =
            stage.json("acme", &format!("/api/events?surface=orders.place&limit=10&after={after}")).await;
        let events = json["events"].as_array().unwrap();
        seen.extend(events.iter().map(|row| row["event"]["input"]["number"].as_u64().unwrap()));
        // A newcomer after each page: it belongs before the first.
        context(&stage.payments, "acme").event("orders.place").input("number", &1_000).record().unwrap();
        stage.flush();
        match json["next"].as_str() {
            Some(next) => after = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(seen.iter().copied().collect::<HashSet<_>>().len(), seen.len(), "none twice");
    assert_eq!(seen, (0..57).rev().collect::<Vec<_>>(), "all of them, newest first");
}

#[tokio::test]
async fn the_links_of_the_page_lead_through_the_same_pages() {
    let stage = Stage::new().await;
    for _ in 0..7 {
        context(&stage.orders, "acme").event("orders.place").record().unwrap();
    }
    stage.flush();
    let (mut path, mut rows) = ("/events?surface=orders.place&limit=3".to_owned(), Vec::new());
    loop {
        let page = stage.page("acme", &path).await;
        rows.extend(hrefs(&page, "tbody th a"));
        match hrefs(&page, "a[rel=next]").pop() {
            Some(next) => path = next.strip_prefix(crate::stage::BASE).unwrap().to_owned(),
            None => break,
        }
    }
    assert_eq!(rows.iter().collect::<HashSet<_>>().len(), 7);
}

#[tokio::test]
async fn filters_narrow_and_what_is_no_filter_is_refused() {
    let stage = Stage::new().await;
    let seeded = stage.seed("acme");
    let count = async |query: &str| {
        let json = stage.json("acme", &format!("/api/events?{query}")).await;
        json["events"].as_array().unwrap().len()
    };
    assert_eq!(count("surface=orders.*").await, 2);
    assert_eq!(count("outcome=error").await, 1);
    assert_eq!(count("code=orders.empty").await, 1);
    assert_eq!(count("surface=payments.charge&user=u_ada").await, 1);
    assert_eq!(count("user=u_nobody").await, 0);
    assert_eq!(count(&format!("trace={}", seeded.trace_id)).await, 3);
    assert_eq!(count(&format!("request={}", seeded.events[0].request_id)).await, 2);
    let (first, last) = (seeded.events[0].recorded_at, seeded.events[2].recorded_at);
    assert_eq!(count(&format!("surface=*&since={first}&until={}", last + 1)).await, 3);
    assert_eq!(count("since=2001-01-01&until=2001-01-02T03:04").await, 0);
    for bad in
        ["outcome=great", "trace=xyz", "since=yesterday", "limit=0", "limit=201", "after=1.2", "surfce=a"]
    {
        assert_eq!(stage.get("acme", &format!("/api/events?{bad}")).await.status(), 400, "{bad}");
        let page = stage.get("acme", &format!("/events?{bad}")).await;
        assert_eq!(page.status(), 400);
        assert_eq!(texts(&page.text().await.unwrap(), "h1"), ["Not understood"]);
    }
    assert_eq!(stage.get("acme", "/api/overview?window=century").await.status(), 400);
}
