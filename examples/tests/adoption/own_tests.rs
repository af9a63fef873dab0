//! Step 10 of the guide: what the service's own tests look like.

use dataset_events::testing::assert_covered;
use dataset_events::{Env, Outcome};
use reqwest::Client;
use serde_json::{Value, json};

use crate::service;
use crate::start::{Started, served, token};

const ENV: Env = Env::from_static("prod");

/// The desk, and a client of one user of acme.
struct Ada {
    started: Started,
    token: String,
}

impl Ada {
    async fn new() -> Self {
        let started = Started::new(&ENV).await;
        let token = token(started.ledger.ledger(), "acme", &ENV, "ada");
        Self { started, token }
    }

    async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let request = Client::new().post(format!("{}{path}", self.started.url)).json(body);
        let answer = request.bearer_auth(&self.token).send().await.expect("an answer");
        (answer.status().as_u16(), answer.json().await.unwrap_or(Value::Null))
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let request = Client::new().get(format!("{}{path}", self.started.url));
        let answer = request.bearer_auth(&self.token).send().await.expect("an answer");
        (answer.status().as_u16(), answer.json().await.unwrap_or(Value::Null))
    }

    async fn opens(&self, email: &str) {
        let (status, _) = self.post("/tickets", &json!({ "email": email, "subject": "no light" })).await;
        assert_eq!(status, 200);
    }
}

#[tokio::test]
async fn a_ticket_leaves_its_number_and_none_of_its_words() {
    let ada = Ada::new().await;
    ada.opens("ada@acme.example").await;
    let opened = ada.started.ledger.assert_one("tickets.open");
    let opened = opened.ok().scope("acme", "prod").user("ada").output("ticket_id", 1);
    assert_eq!(opened.event().input_value()["subject"], json!({ "$masked": { "chars": 8 } }));
    for line in ada.started.ledger.lines() {
        assert!(!line.contains("ada@acme.example") && !line.contains("no light"), "{line}");
    }
}

#[tokio::test]
async fn a_ticket_without_a_subject_is_refused_with_its_code() {
    let ada = Ada::new().await;
    let (status, envelope) = ada.post("/tickets", &json!({ "email": "", "subject": "" })).await;
    assert_eq!((status, &envelope["error"]["code"]), (422, &json!("tickets.no_subject")));
    ada.started.ledger.assert_one("tickets.open").code("tickets.no_subject");
    ada.started.ledger.assert_one("http.request").code("tickets.no_subject").output("status", 422);
}

#[tokio::test]
async fn a_closed_ticket_and_its_mail_are_one_trace_in_two_ledgers() {
    let ada = Ada::new().await;
    ada.opens("ada@acme.example").await;
    assert_eq!(ada.post("/tickets/1/close", &Value::Null).await.0, 200);
    assert_eq!(ada.get("/tickets/1").await.1["is_open"], false);
    ada.started.ledger.assert_one("tickets.read").ok();
    let closed = ada.started.ledger.assert_one("tickets.close").ok();
    assert_eq!(closed.event().changes[0].before.get(), "true");
    let sent = ada.started.ledger.assert_one("mails.send").ok();
    let taken = ada.started.mails.assert_one("http.request").ok().scope("acme", "prod").user("ada");
    assert_eq!(taken.event().trace_id, closed.event().trace_id);
    assert_eq!(taken.event().request_id, closed.event().request_id);
    assert_eq!(taken.event().parent_span_id, Some(sent.event().span_id));
}

#[tokio::test]
async fn what_the_mail_service_refuses_is_the_services_own_refusal() {
    let ada = Ada::new().await;
    ada.opens("nowhere").await;
    let (status, envelope) = ada.post("/tickets/1/close", &Value::Null).await;
    assert_eq!((status, &envelope["error"]["code"]), (422, &json!("remote.refused")));
    ada.started.ledger.assert_one("mails.send").outcome(Outcome::Error).code("remote.refused");
    ada.started.mails.assert_one("http.request").code("mails.no_address");
    assert_eq!(ada.post("/tickets/2/close", &Value::Null).await.0, 404);
    assert_eq!(ada.get("/tickets/2").await.0, 404);
}

#[tokio::test]
async fn a_mail_in_the_background_is_of_the_trace_and_stands_beside_the_request() {
    let mut ada = Ada::new().await;
    ada.opens("ada@acme.example").await;
    assert_eq!(ada.post("/tickets/1/remind", &Value::Null).await.0, 200);
    let ctx = ada.started.sent.recv().await.expect("a mail");
    let read = ada.started.ledger.assert_one("tickets.read");
    assert_eq!(ctx.trace_id(), read.event().trace_id);
    let (status, tickets) = ada.get("/tickets").await;
    assert_eq!((status, tickets.as_array().map(Vec::len)), (200, Some(1)));
    let exported = ada.started.ledger.assert_one("tickets.export").output("tickets", 1);
    assert_eq!(exported.event().parent_span_id, None);
}

#[tokio::test]
async fn the_operators_address_has_health_and_counts() {
    let ada = Ada::new().await;
    ada.opens("ada@acme.example").await;
    ada.started.ledger.flush();
    let url = served(service::operations(ada.started.ledger.ledger()).expect("a router")).await;
    assert_eq!(Client::new().get(format!("{url}/readyz")).send().await.expect("an answer").status(), 200);
    let text = Client::new().get(format!("{url}/metrics")).send().await.expect("an answer").text().await;
    let of_acme = r#"tenant="acme",env="prod",surface="tickets.open",outcome="ok""#;
    assert!(text.expect("text").contains(of_acme));
}

#[test]
fn the_table_of_routes_in_the_documentation_is_the_one_that_is_served() {
    let written = std::fs::read_to_string("tests/adoption/routes.md").expect("the table");
    let served = service::table().markdown();
    assert!(written == served, "write this to tests/adoption/routes.md:\n{served}");
}

#[test]
fn every_surface_is_seen_to_succeed_and_to_fail() {
    assert_covered!(crate);
}
