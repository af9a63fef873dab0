//! The table of routes is what is served and what is printed.

mod over_http;

use axum::http::StatusCode;
use dataset_events::ErrorCode;
use dataset_events::testing::TestLedger;
use dataset_events_service::{ApiError, Limits, RateLimit, Route, RouteTable};
use over_http::{admission, code, start};

#[derive(Debug, ErrorCode, thiserror::Error)]
enum ThingError {
    #[error("no such thing")]
    #[code("things.not_found", status = 404)]
    NotFound,
    #[error("the thing is locked")]
    #[code("things.locked", status = 423)]
    Locked,
}

async fn read() -> Result<(), ApiError> {
    Err(ThingError::NotFound)?
}

async fn lock() -> Result<(), ApiError> {
    Err(ThingError::Locked)?
}

fn table() -> RouteTable {
    RouteTable::new()
        .rate_limit(RateLimit::per_second(100))
        .route(Route::get("/v1/things/{id}", read).errors::<ThingError>())
        .route(
            Route::post("/v1/locks", lock)
                .rate_limit(RateLimit::per_hour(1))
                .limits(Limits::new().body_bytes(4))
                .errors::<ThingError>(),
        )
}

#[test]
fn the_printed_table_has_each_route_with_its_limits_and_codes() {
    let text = table().markdown();
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| `")).collect();
    assert_eq!(
        rows,
        [
            "| `POST` | `/v1/locks` | 1/h | 4 B in 15 s, 30 s to answer | \
             `things.locked` 423, `things.not_found` 404 |",
            "| `GET` | `/v1/things/{id}` | 100/s | 1 MiB in 15 s, 30 s to answer | \
             `things.locked` 423, `things.not_found` 404 |",
        ]
    );
    for code in [
        "`auth.scope_mismatch` 403",
        "`rate_limit.exceeded` 429",
        "`http.timeout` 504",
        "`http.shutting_down` 503",
        "`internal` 500",
        "`http.route_not_found` 404",
    ] {
        assert!(text.contains(code), "{code} is not in\n{text}");
    }
}

#[tokio::test]
async fn what_is_printed_is_what_is_served() {
    let ledger = TestLedger::new();
    let table = table();
    let layer = admission(&ledger).rate_limits(table.rate_limits()).limits(table.route_limits());
    let service = start(&ledger, table.router(), layer.build().unwrap()).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let get = client.get(service.url("/v1/things/7")).bearer_auth("acme~u_1").send().await.unwrap();
    assert_eq!(get.headers()["ratelimit-limit"], "100");
    assert_eq!(code(get).await, (404, "things.not_found".to_owned()));
    let lock =
        |body: &'static str| client.post(service.url("/v1/locks")).bearer_auth("acme~u_1").body(body).send();
    assert_eq!(code(lock("12345").await.unwrap()).await.1, "http.body_too_large");
    assert_eq!(lock("1").await.unwrap().status(), StatusCode::TOO_MANY_REQUESTS);
}
