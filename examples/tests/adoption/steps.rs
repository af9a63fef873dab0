//! Each step of the guide leaves a service that runs.

use dataset_events::testing::TestLedger;
use dataset_events_service::StaticTokens;
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

use crate::start::served;
use crate::{admitted, before, first_step};

async fn status_and_body(request: RequestBuilder) -> (u16, Value) {
    let answer = request.send().await.expect("an answer");
    (answer.status().as_u16(), answer.json().await.unwrap_or(Value::Null))
}

/// What the service of the guide does, however it knows the tenant.
async fn works(url: &str, of_acme: impl Fn(RequestBuilder) -> RequestBuilder) {
    let http = Client::new();
    let tickets = format!("{url}/tickets");
    let new = json!({ "email": "ada@acme.example", "subject": "no light" });
    let (status, opened) = status_and_body(of_acme(http.post(&tickets).json(&new))).await;
    assert_eq!((status, &opened["id"]), (200, &json!(1)));
    let empty = json!({ "email": "ada@acme.example", "subject": "" });
    assert_eq!(status_and_body(of_acme(http.post(&tickets).json(&empty))).await.0, 422);
    let (status, read) = status_and_body(of_acme(http.get(format!("{tickets}/1")))).await;
    assert_eq!((status, read), (200, opened));
    assert_eq!(status_and_body(of_acme(http.get(format!("{tickets}/2")))).await.0, 404);
}

#[tokio::test]
async fn the_service_works_as_it_was() {
    works(&served(before::router()).await, |request| request.header("x-tenant", "acme")).await;
}

// On one thread: calls without a context record to the ledger that was entered there.
#[tokio::test]
async fn the_first_step_records_one_function_and_changes_nothing() {
    let ledger = TestLedger::new();
    let _entered = ledger.enter();
    works(&served(first_step::router()).await, |request| request.header("x-tenant", "acme")).await;
    let events = ledger.events();
    assert_eq!(events.len(), 2);
    assert!(events.iter().all(|event| event.surface == "tickets.open" && event.tenant_id() == "everybody"));
    assert_eq!((events[0].code(), events[1].code()), (None, Some("tickets.not_opened")));
}

#[tokio::test]
async fn admission_takes_the_tenant_from_the_token() {
    let ledger = TestLedger::new();
    let users = StaticTokens::parse("token-of-ada acme ada\ntoken-of-eve globex eve").expect("tokens");
    let url = served(admitted::router(ledger.ledger(), users).expect("a router")).await;
    works(&url, |request| request.bearer_auth("token-of-ada")).await;
    ledger.assert_count("tickets.open", 2);
    ledger.assert_count("tickets.read", 2);
    ledger.assert_count("http.request", 4);
    let failed = ledger.events_of("tickets.read").pop().expect("an event");
    assert_eq!((failed.code(), failed.tenant_id()), (Some("tickets.not_found"), "acme"));

    let http = Client::new();
    let ticket = || http.get(format!("{url}/tickets/1"));
    assert_eq!(status_and_body(ticket().header("x-tenant", "acme")).await.0, 401);
    let (status, envelope) = status_and_body(ticket().bearer_auth("token-of-eve")).await;
    assert_eq!((status, &envelope["error"]["code"]), (404, &json!("tickets.not_found")));
    let asks_for_more = ticket().bearer_auth("token-of-eve").header("x-tenant-id", "acme");
    let (status, envelope) = status_and_body(asks_for_more).await;
    assert_eq!((status, &envelope["error"]["code"]), (403, &json!("auth.scope_mismatch")));
}
