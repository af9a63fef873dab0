//! Step 10 of the guide: no tenant sees anything of another, over HTTP and in the ledger.

use dataset_events::Env;
use dataset_events::testing::isolation::{IsolationTenant, Observed};
use dataset_events::testing::isolation_contract;
use dataset_events_service::MetricsEndpoint;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::start::{Started, token_of};

/// What a client of this tenant does, and what it sees.
async fn exercise(started: &Started, tenant: &IsolationTenant) -> Observed {
    let ledger = started.ledger.ledger();
    let ctx = ledger.context(&tenant.tenant_id, &tenant.env).user_id(&tenant.user_id).build();
    let token = token_of(&ctx.expect("the contract's ids are valid"));
    let tickets = format!("{}/tickets", started.url);
    let http = reqwest::Client::new();
    let new = json!({ "email": format!("{}@example.com", tenant.canary), "subject": tenant.canary });
    let opened = http.post(&tickets).json(&new).header("x-request-id", tenant.request_id.as_str());
    let opened = opened.bearer_auth(&token).send().await.expect("an answer");
    let headers = format!("{:?}", opened.headers());
    let listed = http.get(&tickets).bearer_auth(&token).send().await.expect("an answer");
    Observed::new()
        .saw("headers", headers)
        .saw("the ticket", opened.bytes().await.expect("a body"))
        .saw("all tickets", listed.bytes().await.expect("a body"))
}

#[test]
fn fifty_tenants_at_once_see_nothing_of_each_other() {
    let runtime = Runtime::new().expect("a runtime");
    let started = runtime.block_on(Started::new(&Env::from_static("contract")));
    let report = isolation_contract!(
        exercise: |tenant| runtime.block_on(exercise(&started, tenant)),
        shared: { "metrics" => MetricsEndpoint::new(started.ledger.ledger()).expect("metrics").render() },
        ledgers: [started.ledger.ledger(), started.mails.ledger()],
    );
    assert_eq!((report.tenants, report.rounds), (50, 3));
}
