//! Each reading is one event, and is left out of totals.

use crate::stage::Stage;

#[tokio::test]
async fn each_page_and_each_api_read_is_one_event() {
    let stage = Stage::new().await;
    let seeded = stage.seed("acme");
    let (event, trace) = (format!("events/{}", seeded.place(0)), format!("traces/{}", seeded.trace_id));
    let reads = [
        ("overview", String::new(), "overview".to_owned()),
        ("events", "events".to_owned(), "events".to_owned()),
        ("event", event.clone(), event),
        ("trace", trace.clone(), trace),
        ("coverage", "coverage".to_owned(), "coverage".to_owned()),
        ("health", "health".to_owned(), "health".to_owned()),
    ];
    let mut before = 0;
    for (view, page, api) in reads {
        for path in [if page.is_empty() { String::new() } else { format!("/{page}") }, format!("/api/{api}")]
        {
            assert_eq!(stage.get("acme", &path).await.status(), 200, "{path}");
            let reads = stage.reads("acme");
            assert_eq!(reads.len(), before + 1, "{path}");
            before += 1;
            let newest = reads.last().unwrap();
            let input = newest.input_value();
            assert_eq!(
                (&input["view"], &input["tenant"], &input["env"]),
                (&view.into(), &"acme".into(), &"test".into())
            );
            assert_eq!(newest.user_id().unwrap().as_str(), "u_ada");
            assert!(newest.output_value()["rows"].as_u64().unwrap() >= 1, "{path}");
        }
    }
    // What is not there was asked for all the same; who is not known has read nothing.
    assert_eq!(stage.get("acme", "/api/events/01900000-0000-7000-8000-000000000009").await.status(), 404);
    let reads = stage.reads("acme");
    assert_eq!((reads.len(), reads.last().unwrap().code()), (before + 1, Some("dashboard.not_found")));
    stage.client.get(stage.url("/events")).send().await.unwrap();
    stage.client.get(stage.url("/sign-in")).send().await.unwrap();
    assert_eq!(stage.reads("acme").len(), before + 1);
}

#[tokio::test]
async fn filters_are_recorded_by_name_and_their_values_hashed() {
    let stage = Stage::new().await;
    stage.seed("acme");
    for user in ["u_secret", "u_secret", "u_other"] {
        stage.get("acme", &format!("/api/events?user={user}&outcome=ok")).await;
    }
    let inputs: Vec<_> = stage.reads("acme").iter().map(|event| event.input_value()).collect();
    assert!(inputs.iter().all(|input| input["filters"] == serde_json::json!(["outcome", "user"])));
    assert!(inputs.iter().all(|input| !input.to_string().contains("u_secret")));
    let hash = |at: usize| inputs[at]["filter_values"]["$hashed"].as_str().unwrap();
    assert_eq!(hash(0), hash(1));
    assert_ne!(hash(0), hash(2));
}
