//! Requests whose framing is broken or ambiguous.

use super::services_common::World;
use super::services_common::raw::{code, exchange, statuses};
use super::{ACME, Expected};

/// The end of the head of a request that asks for the answer to be the last one.
const CLOSE: &str = "Connection: close\r\n\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_is_no_http_is_refused_and_is_no_request() {
    let world = World::start().await;
    let token = world.issuer.token("acme", "prod", "u_1");
    let to = world.gateway.started().listening;
    let head = |lines: &str| {
        format!("GET /v1/kpis HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {token}\r\n{lines}{CLOSE}")
    };
    let many: String = (0..200).map(|at| format!("X-Header-{at}: x\r\n")).collect();
    let large = format!("X-Large: {}\r\n", "x".repeat(100 * 1024));
    let cases = [
        ("obs-fold", head("X-Fold: a\r\n b\r\n"), 400),
        ("obs-fold of a scope", head("X-Tenant-Id: acme\r\n\tglobex\r\n"), 400),
        ("NUL in a value", head("X-Nul: a\0b\r\n"), 400),
        ("NUL in a name", head("X-\0Nul: a\r\n"), 400),
        ("a bare CR", head("X-Cr: a\rX-Tenant-Id: globex\r\n"), 400),
        ("a space before the colon", head("X-Tenant-Id : globex\r\n"), 400),
        ("a name with a space", head("X Tenant: globex\r\n"), 400),
        ("two lengths", head("Content-Length: 1\r\nContent-Length: 2\r\n"), 400),
        ("a list of lengths", head("Content-Length: 1, 2\r\n"), 400),
        ("a signed length", head("Content-Length: +1\r\n"), 400),
        ("a negative length", head("Content-Length: -1\r\n"), 400),
        ("a length in hexadecimal", head("Content-Length: 0x1\r\n"), 400),
        ("an unknown coding", head("Transfer-Encoding: xchunked\r\n"), 400),
        ("chunked is not the last", head("Transfer-Encoding: chunked, identity\r\n"), 400),
        ("200 headers", head(&many), 431),
        ("a head of 100 KiB", head(&large), 431),
    ];
    for (name, request, status) in &cases {
        let answer = exchange(to, request.as_bytes()).await;
        assert_eq!(statuses(&answer), [*status], "{name}: {answer}");
    }
    let recorded = world.end().await;
    Expected::default().assert_all_of(&recorded.gateway);
    Expected::default().assert_all_of(&recorded.engines);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ambiguous_length_hides_no_second_request() {
    let world = World::start().await;
    let token = world.issuer.token("acme", "prod", "u_1");
    let to = world.gateway.started().listening;
    let body = r#"{"limit":"1000","currency":"EUR"}"#;
    let hidden = "GET /v1/gate/hidden HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n";
    let chunks = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let mut expected = Expected::default();
    for lengths in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
    ] {
        let request = format!(
            "PUT /v1/budget/policy HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\n{lengths}\r\n{chunks}{hidden}"
        );
        let answer = exchange(to, request.as_bytes()).await;
        // Chunks decide and the connection ends, as the standard says; the bytes that follow are nothing.
        assert_eq!(statuses(&answer), [200], "{lengths}: {answer}");
        expected.add(ACME, "");
    }
    let recorded = world.end().await;
    expected.assert_all_of(&recorded.gateway);
    expected.assert_all_of(&recorded.engines);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bare_line_feeds_make_no_more_of_a_request_than_it_is() {
    let world = World::start().await;
    let token = world.issuer.token("acme", "prod", "u_1");
    let to = world.gateway.started().listening;
    let request = format!(
        "GET /v1/kpis HTTP/1.1\nHost: gateway\nAuthorization: Bearer {token}\nX-Tenant-Id: globex\n\
         Connection: close\n\n"
    );
    let answer = exchange(to, request.as_bytes()).await;
    // A line feed ends a line: the header counts, and so does the refusal.
    assert_eq!((statuses(&answer), code(&answer).as_str()), (vec![403], "auth.scope_mismatch"), "{answer}");
    let recorded = world.end().await;
    let mut expected = Expected::default();
    expected.add(ACME, "auth.scope_mismatch");
    expected.assert_all_of(&recorded.gateway);
}
