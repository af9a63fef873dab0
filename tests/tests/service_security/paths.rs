//! Paths that mean one thing to the gateway and another to what stands behind it.

use reqwest::Method;

use super::services_common::World;
use super::services_common::raw::{code, exchange, statuses};
use super::{ACME, Expected};

/// Method and path, and the code that the gateway refuses it with.
const TRICKS: [(&str, &str, u16, &str); 17] = [
    // Admitted as one route, and another one once a URL was made of it.
    ("PUT", "/v1/kill-switches/..\\budget\\policy", 400, "http.invalid_path"),
    ("POST", "/v1/strategy-locks/..\\gate\\pass\\%2e%2e\\x/approve", 400, "http.invalid_path"),
    ("GET", "/v1/media/..", 400, "http.invalid_path"),
    ("GET", "/v1/media/%2e%2e", 400, "http.invalid_path"),
    ("GET", "/v1/media/.%2E", 400, "http.invalid_path"),
    ("GET", "/v1/kpis/../latest", 400, "http.invalid_path"),
    ("GET", "/v1/kpis/%2e/latest", 400, "http.invalid_path"),
    ("PUT", "/v1/vector/documents/..", 400, "http.invalid_path"),
    // No id has a slash, a NUL or a percent sign, however it is written.
    ("GET", "/v1/media/..%2fkpis", 400, "http.invalid_path"),
    ("GET", "/v1/kill-switches/..%2f..%2fgate%2fpass", 400, "http.invalid_path"),
    ("GET", "/v1/kill-switches/chat%00", 400, "http.invalid_path"),
    ("GET", "/v1/kill-switches/%252e%252e", 400, "http.invalid_path"),
    // Routes that no client may reach, and none at all.
    ("POST", "/v1/gate/pass", 404, "http.route_not_found"),
    ("POST", "/v1/kpis/../gate/pass", 404, "http.route_not_found"),
    ("GET", "/v1//kpis", 404, "http.route_not_found"),
    ("GET", "/V1/kpis", 404, "http.route_not_found"),
    ("GET", "//evil.example/v1/kpis", 404, "http.route_not_found"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_path_leads_to_another_route_than_the_one_that_was_admitted() {
    let world = World::start().await;
    let token = world.issuer.token("acme", "prod", "u_1");
    let to = world.gateway.started().listening;
    let mut expected = Expected::default();
    for (method, path, status, wanted) in TRICKS {
        let body = r#"{"limit":"1000000","currency":"EUR"}"#;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        let answer = exchange(to, request.as_bytes()).await;
        assert_eq!((statuses(&answer), code(&answer).as_str()), (vec![status], wanted), "{path}: {answer}");
    }
    // What was not refused by its path was refused, or was not, as the route that it is.
    let summary = world.send(world.request(Method::GET, "/v1/budget/summary", &token)).await;
    assert_eq!(summary.code(), "budget.policy_not_found", "no trick set a policy");
    expected.add(ACME, "remote.refused");
    let recorded = world.end().await;
    let paths: Vec<_> = TRICKS.iter().map(|(_, path, ..)| *path).collect();
    for event in recorded.events().filter(|event| event.surface == "http.request") {
        let route = event.input_value()["route"].as_str().expect("a template").to_owned();
        assert!(!paths.contains(&route.as_str()), "a raw path is recorded: {route}");
    }
    let requests: u64 = recorded.gateway.requests().values().sum();
    assert_eq!(requests, TRICKS.len() as u64 + 1);
    // One route in the gateway's event, the same in the engines'.
    for behind in recorded.engines.events.iter().filter(|event| event.surface == "http.request") {
        let front = recorded.gateway.events.iter().find(|event| Some(event.span_id) == behind.parent_span_id);
        let front = front.expect("the gateway's event");
        assert_eq!(front.input_value()["route"], behind.input_value()["route"]);
    }
}
