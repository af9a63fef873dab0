//! The path of a request: what the gateway matched is what the engines service gets.

use crate::common::{Services, outcomes};

/// A client library rewrites such a path before it is sent, and so did the gateway's own: a request that was admitted
/// as one route, with its limits and its code, left as another. Now it does not leave.
#[tokio::test]
async fn a_path_that_would_leave_as_another_route_is_not_handed_on() {
    let services = Services::start().await;
    let policy = r#"{"limit":"1","currency":"EUR"}"#;
    for (method, path) in [
        ("PUT", r"/v1/kpis/..\..\v1\budget\policy"),
        ("PUT", "/v1/kpis/.."),
        ("PUT", "/v1/kpis/%2e%2e"),
        ("PUT", "/v1/kpis/%2E./corridor"),
        ("GET", "/v1/kpis/%2e/latest"),
        ("GET", r"/v1/media/..\kpis"),
    ] {
        let answer = services.ask(method, path, policy).await;
        assert!(
            answer.starts_with("HTTP/1.1 400 ") && answer.contains("http.invalid_path"),
            "{path}: {answer}"
        );
    }
    // What only looks like it is a name, and goes the way of all names.
    let answer = services.ask("GET", "/v1/kpis/..%2Fbudget/latest", "").await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("http.invalid_path"), "{answer}");
    let answer = services.ask("GET", "/v1/kpis/latency/latest?x=../..", "").await;
    assert!(answer.starts_with("HTTP/1.1 404 ") && answer.contains("kpi.not_found"), "{answer}");
    let answer = services.ask("PUT", "/v1/budget/policy", policy).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");

    let Services { engines, gateway, .. } = services;
    let (engines_ledger, gateway_ledger) =
        (engines.started().ledger.clone(), gateway.started().ledger.clone());
    gateway.end().await.expect("end the gateway");
    engines.end().await.expect("end the engines");
    assert_eq!(outcomes(&engines_ledger, "http.request").len(), 3, "those with a path of one meaning");
    assert_eq!(outcomes(&engines_ledger, "budget.set_policy").len(), 1);
    assert_eq!(outcomes(&gateway_ledger, "http.request").len(), 9, "all of them");
}
