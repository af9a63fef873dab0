//! Headers that claim a scope, a user, an address or a trace.

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::json;

use super::services_common::World;
use super::services_common::raw::{code, exchange, statuses};
use super::{ACME, Expected, NOBODY, assert_no_token_is_kept, assert_refused};

/// Headers of one request that name a scope which the token is not good for.
const MISMATCHES: [&[(&str, &str)]; 12] = [
    &[("x-tenant-id", "globex")],
    &[("x-env", "staging")],
    &[("x-tenant-id", "globex"), ("x-env", "staging")],
    &[("x-tenant-id", "acme"), ("x-tenant-id", "globex")],
    &[("x-tenant-id", "acme"), ("x-tenant-id", "acme")],
    &[("x-env", "prod"), ("x-env", "staging")],
    &[("x-tenant-id", "acme, globex")],
    &[("x-tenant-id", "ACME")],
    &[("x-tenant-id", "")],
    &[("x-tenant-id", "$system"), ("x-env", "$system")],
    &[("x-tenant-id", "../globex")],
    &[("x-tenant-id", "acme\u{e9}")],
];

/// Headers that services elsewhere believe. None of them may change who asks, or in which scope.
const SPOOFED: [(&str, &str); 14] = [
    ("x-forwarded-for", "203.0.113.7"),
    ("forwarded", "for=203.0.113.7"),
    ("x-real-ip", "203.0.113.7"),
    ("x-user-id", "root"),
    ("x-auth-subject", "root"),
    ("x-forwarded-user", "root"),
    ("x-original-url", "/v1/gate/pass"),
    ("x-rewrite-url", "/v1/gate/pass"),
    ("x-http-method-override", "DELETE"),
    ("x_tenant_id", "globex"),
    ("x-tenant", "globex"),
    ("tenant-id", "globex"),
    ("proxy-authorization", "Bearer opaque-token-2"),
    ("cookie", "session=opaque-token-3"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_header_never_widens_a_scope_and_the_attempt_is_the_tenants_own_event() {
    let world = World::start().await;
    let token = world.issuer.token("acme", "prod", "u_1");
    let mut expected = Expected::default();
    for headers in MISMATCHES {
        for path in ["/v1/kpis", "/v1/chat/threads"] {
            let mut request = world.request(Method::GET, path, &token);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let answer = world.send(request).await;
            assert_refused(&format!("{headers:?}"), &answer, 403, "auth.scope_mismatch");
            expected.add(ACME, "auth.scope_mismatch");
        }
    }
    let to = world.gateway.started().listening;
    for name in ["X-TENANT-ID", "x-TeNaNt-Id"] {
        let request = format!(
            "GET /v1/kpis HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {token}\r\n{name}: globex\r\n\
             Connection: close\r\n\r\n"
        );
        let answer = exchange(to, request.as_bytes()).await;
        assert_eq!((statuses(&answer), code(&answer).as_str()), (vec![403], "auth.scope_mismatch"));
        expected.add(ACME, "auth.scope_mismatch");
    }
    let narrowed = world.request(Method::GET, "/v1/kpis", &token).header("x-tenant-id", "acme");
    assert_eq!(world.send(narrowed.header("x-env", "prod")).await.status, 200);
    expected.add(ACME, "");
    let recorded = world.end().await;
    expected.assert_all_of(&recorded.gateway);
    let mut behind = Expected::default();
    behind.add(ACME, "");
    behind.assert_all_of(&recorded.engines);
    assert!(recorded.events().all(|event| ["acme", "$system"].contains(&event.tenant_id())));
    assert_no_token_is_kept(&recorded);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spoofed_headers_change_neither_who_asks_nor_from_where_in_either_ledger() {
    let world = World::start().await;
    let token = world.issuer.token("acme", "prod", "u_1");
    let mut headers = HeaderMap::new();
    for (name, value) in SPOOFED {
        headers.append(name, value.parse().expect("a value"));
    }
    let request = world.request(Method::GET, "/v1/kpis", &token).headers(headers.clone());
    assert_eq!(world.send(request).await.status, 200);
    let request = world.http.get(format!("{}/v1/kpis", world.engines.url())).headers(headers);
    let answer = world.send(request).await;
    assert_refused("spoofed headers to the engines", &answer, 401, "auth.missing_credentials");
    let recorded = world.end().await;
    let mut expected = Expected::default();
    expected.add(ACME, "");
    expected.assert_all_of(&recorded.gateway);
    expected.add(NOBODY, "auth.missing_credentials");
    expected.assert_all_of(&recorded.engines);
    for event in recorded.events() {
        let text = serde_json::to_string(event).expect("JSON");
        for word in ["203.0.113.7", "root", "globex"] {
            assert!(!text.contains(word), "{text}");
        }
    }
    let acmes: Vec<_> = recorded.events().filter(|event| event.tenant_id() == "acme").collect();
    assert!(acmes.len() >= 3);
    assert!(acmes.iter().all(|event| event.user_id().is_some_and(|user| user.as_str() == "u_1")));
    assert_no_token_is_kept(&recorded);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hop_by_hop_header_takes_neither_identity_nor_context_away() {
    let world = World::start().await;
    let token = world.issuer.token("acme", "prod", "u_1");
    let to = world.gateway.started().listening;
    let mut expected = Expected::default();
    for named in ["authorization", "x-tenant-id", "x-request-id, traceparent", "content-length"] {
        let request = format!(
            "GET /v1/kpis HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {token}\r\n\
             X-Request-Id: req-hop\r\nConnection: close, {named}\r\n\r\n"
        );
        let answer = exchange(to, request.as_bytes()).await;
        assert_eq!(statuses(&answer), [200], "{named}: {answer}");
        expected.add(ACME, "");
    }
    // A scope of another that is named so is refused all the same.
    let request = format!(
        "GET /v1/kpis HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {token}\r\nX-Tenant-Id: globex\r\n\
         Connection: close, x-tenant-id\r\n\r\n"
    );
    let answer = exchange(to, request.as_bytes()).await;
    assert_eq!((statuses(&answer), code(&answer).as_str()), (vec![403], "auth.scope_mismatch"));
    let recorded = world.end().await;
    expected.assert_all_of(&recorded.engines);
    expected.add(ACME, "auth.scope_mismatch");
    expected.assert_all_of(&recorded.gateway);
    let behind = recorded.engines.events.iter().filter(|event| event.tenant_id() == "acme");
    assert!(behind.into_iter().all(|event| event.request_id.as_str() == "req-hop"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_and_repeated_ids_are_replaced_and_never_recorded() {
    let world = World::start().await;
    let token = world.issuer.token("acme", "prod", "u_1");
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let long = "x".repeat(300);
    let wrong: [&[(&str, &str)]; 6] = [
        &[("traceparent", "00-evil-id-01"), ("x-request-id", "evil id")],
        &[("traceparent", parent), ("traceparent", parent), ("x-request-id", "evil\tid")],
        &[("traceparent", "00-00000000000000000000000000000000-00f067aa0ba902b7-01"), ("x-request-id", "")],
        &[("x-request-id", "evil-1"), ("x-request-id", "evil-2")],
        &[("x-request-id", &long)],
        &[
            ("traceparent", "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
            ("x-request-id", "evil\u{e9}"),
        ],
    ];
    for headers in wrong {
        let mut request = world.request(Method::PUT, "/v1/kpis/latency", &token);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = world.send(request.json(&json!({"unit": "ms", "direction": "lower_is_better"}))).await;
        assert_eq!(answer.status, 200, "{headers:?}: {}", answer.text());
        assert!(!answer.header("x-request-id").contains("evil"));
    }
    let recorded = world.end().await;
    let acmes: Vec<_> = recorded.events().filter(|event| event.tenant_id() == "acme").collect();
    assert!(acmes.len() >= 3 * wrong.len());
    for event in acmes {
        let text = serde_json::to_string(event).expect("JSON");
        assert!(
            !text.contains("evil") && !text.contains(&long) && !text.contains("4bf92f3577b34da6"),
            "{text}"
        );
    }
}
