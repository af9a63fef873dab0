//! What the pages and their JSON say of a seeded set of two ledgers.

use serde_json::Value;

use crate::stage::{BASE, Stage, hrefs, texts};

#[tokio::test]
async fn the_overview_counts_both_ledgers_and_leaves_reading_out() {
    let stage = Stage::new().await;
    stage.seed("acme");
    stage.seed("globex");
    for _ in 0..2 {
        let json = stage.json("acme", "/api/overview?window=hour").await;
        let surface = |name: &str| {
            let rows = json["by_surface"].as_array().unwrap();
            rows.iter().find(|row| row["surface"] == name).cloned().unwrap_or(Value::Null)
        };
        assert_eq!(surface("orders.place")["events"], 2);
        assert_eq!(surface("orders.place")["failures"], 1);
        assert_eq!(surface("payments.charge")["events"], 1);
        assert_eq!(surface("ledger.read"), Value::Null);
        assert!(surface("orders.place")["p99_ns"].is_u64());
        assert_eq!(json["failures"], 1);
        assert_eq!(json["by_code"], serde_json::json!([{"code": "orders.empty", "events": 1}]));
        assert_eq!(json["latest_failures"][0]["code"], "orders.empty");
        assert_eq!(
            (&json["tenant_id"], &json["env"], &json["window"]),
            (&"acme".into(), &"test".into(), &"hour".into())
        );
        let buckets = json["activity"]["buckets"].as_array().unwrap();
        let counted: u64 = buckets.iter().map(|bucket| bucket["events"].as_u64().unwrap()).sum();
        assert_eq!(Some(counted), json["events"].as_u64());
        assert!(json["as_of_us"].is_i64() && json["unread"].as_array().unwrap().is_empty());
    }
    for window in ["hour", "day", "week", "month", "all"] {
        let page = stage.page("acme", &format!("/?window={window}").replacen("/?", "?", 1)).await;
        assert_eq!(texts(&page, ".tile.bad dd.figure"), ["1"], "{window}");
        assert_eq!(texts(&page, "h1"), ["Overview"]);
        assert_eq!(texts(&page, "nav.side a[aria-current]"), ["Overview"]);
        assert_eq!(texts(&page, "nav.windows a[aria-current]").len(), 1);
    }
}

#[tokio::test]
async fn a_scope_without_events_says_what_to_do() {
    let stage = Stage::new().await;
    let page = stage.page("initech", "").await;
    assert_eq!(texts(&page, ".empty h2"), ["No events yet"]);
    assert!(
        stage.json("initech", "/api/events?surface=orders.*").await["events"].as_array().unwrap().is_empty()
    );
}

#[tokio::test]
async fn an_event_is_shown_in_full_with_its_place_in_the_chain() {
    let stage = Stage::new().await;
    let seeded = stage.seed("acme");
    let failure = seeded.events.iter().position(|event| event.outcome.is_failure()).unwrap();
    let json = stage.json("acme", &format!("/api/events/{}", seeded.place(failure))).await;
    let stored = &seeded.events[failure];
    assert_eq!(json["event"]["event_id"], stored.event_id.to_string());
    assert_eq!(json["event"]["prev"], stored.prev.to_string());
    assert_eq!(json["chain"]["follows_previous"], true);
    let line: Value = serde_json::from_str(json["line"].as_str().unwrap()).unwrap();
    assert_eq!(line["event_id"], json["event"]["event_id"]);
    let by_id = stage.json("acme", &format!("/api/events/{}", stored.event_id)).await;
    assert_eq!(by_id["place"], json["place"]);

    let first = stage.page("acme", &format!("/events/{}", seeded.place(0))).await;
    let facts = texts(&first, "dl.facts dd").join("\n");
    for fact in [
        "orders.place",
        "nothing: the stream begins here",
        &seeded.events[0].prev.to_string(),
        &seeded.trace_id,
    ] {
        assert!(facts.contains(fact), "{fact} in {facts}");
    }
    assert_eq!(
        texts(&first, "td:nth-child(2)"),
        ["\"cart\"", "7"],
        "before of the change, id of the source ref"
    );
    assert!(texts(&first, "pre code").iter().any(|code| code.contains("\"note\": \"cart of acme\"")));
}

#[tokio::test]
async fn a_checkpoint_covers_an_event_once_it_is_made() {
    let stage = Stage::new().await;
    let seeded = stage.seed("acme");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(180);
    loop {
        let json = stage.json("acme", &format!("/api/events/{}", seeded.place(0))).await;
        if json["chain"]["checkpoint"]["number"].is_u64() {
            assert_eq!(json["chain"]["checkpoint"]["hash"].as_str().unwrap().len(), 64);
            break;
        }
        assert!(std::time::Instant::now() < deadline, "no checkpoint covers the event");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_trace_runs_across_services() {
    let stage = Stage::new().await;
    let seeded = stage.seed("acme");
    let json = stage.json("acme", &format!("/api/traces/{}", seeded.trace_id)).await;
    assert_eq!(json["services"], serde_json::json!(["orders", "payments"]));
    assert_eq!((json["spans"].as_array().unwrap().len(), &json["failures"]), (3, &1.into()));
    let page = stage.page("acme", &format!("/traces/{}", seeded.trace_id)).await;
    assert_eq!(texts(&page, ".waterfall tbody tr").len(), 3);
    assert_eq!(hrefs(&page, ".waterfall th a").len(), 3);
}

#[tokio::test]
async fn coverage_tells_what_the_scope_has_seen() {
    let stage = Stage::new().await;
    stage.seed("acme");
    stage.page("acme", "/coverage").await;
    stage.flush();
    let json = stage.json("acme", "/api/coverage").await;
    let request =
        json["surfaces"].as_array().unwrap().iter().find(|row| row["surface"] == "http.request").cloned();
    assert!(request.unwrap()["ok"].as_u64().unwrap() >= 1);
    let elsewhere: Vec<_> = json["elsewhere"].as_array().unwrap().iter().map(|row| &row["surface"]).collect();
    assert_eq!(elsewhere, ["orders.place", "payments.charge"]);
    let seen = json["codes"].as_array().unwrap().iter().find(|row| row["code"] == "orders.empty").cloned();
    assert_eq!(seen.unwrap()["events"], 1);
}

#[tokio::test]
async fn health_names_ledgers_and_verifies_on_demand() {
    let stage = Stage::new().await;
    stage.seed("acme");
    let json = stage.json("acme", "/api/health").await;
    let services: Vec<_> = json["ledgers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["head"]["service"].as_str().unwrap())
        .collect();
    assert_eq!(services, ["orders", "payments"]);
    assert_eq!(json["verification"]["state"], "never");
    let verify = stage
        .client
        .post(stage.url("/health/verify"))
        .bearer_auth("acme~u_ada")
        .header("sec-fetch-site", "same-origin");
    let answer = verify.send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["location"]),
        (303, &format!("{BASE}/health").parse().unwrap())
    );
    let result = loop {
        let json = stage.json("acme", "/api/health").await;
        if json["verification"]["state"] == "done" {
            break json["verification"]["result"].clone();
        }
        tokio::task::yield_now().await;
    };
    let verified: Vec<_> =
        result["ledgers"].as_array().unwrap().iter().map(|row| row["is_verified"].clone()).collect();
    assert_eq!(verified, [true, true]);
    assert_eq!(
        texts(&stage.page("acme", "/health").await, ".card .card .status.good"),
        ["verified", "verified"]
    );
    let cross = stage
        .client
        .post(stage.url("/health/verify"))
        .bearer_auth("acme~u_ada")
        .header("sec-fetch-site", "cross-site");
    assert_eq!(cross.send().await.unwrap().status(), 403);
}

#[tokio::test]
async fn a_ledger_that_cannot_be_read_is_named_without_its_files() {
    let stage = Stage::new().await;
    stage.seed("acme");
    let id = "01900000-0000-7000-8000-000000000001";
    std::fs::create_dir(stage.root.path().join(id)).unwrap();
    let page = stage.page("acme", "").await;
    let notices = texts(&page, ".notice.bad").join("\n");
    assert!(notices.contains(id), "{notices}");
    assert!(!page.contains(stage.root.path().to_str().unwrap()), "no path of the machine");
    let json = stage.json("acme", "/api/health").await;
    assert_eq!(json["unread"], serde_json::json!([{"ledger_id": id}]));
}
