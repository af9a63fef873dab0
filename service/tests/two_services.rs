//! The shipped parts together: static tokens and a tenant in the path in front, service tokens between.

mod over_http;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use dataset_events::testing::TestLedger;
use dataset_events::{ActorType, DatasetEvent, Outcome};
use dataset_events_service::{
    Admission, ApiError, Carrier, Ctx, Json, JwtAuthenticator, KeySet, RemoteError, ServiceTokens,
    StaticTokens, TenantInPath, VerificationKey,
};
use over_http::{ENV, Server, code, start};
use serde_json::{Value, json};

const SECRET: &[u8] = b"a secret that both services of this test hold";

#[derive(Clone)]
struct Back {
    url: String,
    carrier: Carrier,
    client: reqwest::Client,
}

async fn who(ctx: Ctx) -> Json<Value> {
    Json(json!({"tenant": ctx.tenant_id(), "user": ctx.user_id()}))
}

async fn forward(State(back): State<Back>, ctx: Ctx) -> Result<Json<Value>, ApiError> {
    let failed = |_| ApiError::new(dataset_events::Code::new("test.unreachable"), "the back did not answer");
    let request = back.carrier.prepare(back.client.get(&back.url), &ctx).await.map_err(failed)?;
    let answer = back.client.execute(request).await.map_err(|error| failed(error.into()))?;
    let status = answer.status();
    let body = answer.bytes().await.map_err(|error| failed(error.into()))?;
    match RemoteError::from_answer(status, &body) {
        Some(error) => Err(error.to_api_error()),
        None => Ok(Json(serde_json::from_slice(&body).unwrap_or_default())),
    }
}

/// A front that mints tokens for `audience`, and a back that takes those for `engines`.
async fn services(ledgers: &[TestLedger; 2], audience: &str) -> [Server; 2] {
    let keys = KeySet::new([VerificationKey::hs256(SECRET).unwrap()]).unwrap();
    let verifier = JwtAuthenticator::for_service_tokens("services", "engines", keys).build().unwrap();
    let layer = Admission::builder(ledgers[1].ledger()).authenticate(verifier).env(ENV).build().unwrap();
    let back = start(&ledgers[1], Router::new().route("/who", get(who)), layer).await;
    let tokens = ServiceTokens::hs256("services", "gateway", SECRET).unwrap();
    let state = Back {
        url: back.url("/who"),
        carrier: Carrier::new(ledgers[0].ledger(), audience, tokens),
        client: reqwest::Client::builder().no_proxy().build().unwrap(),
    };
    let layer = Admission::builder(ledgers[0].ledger())
        .authenticate(StaticTokens::parse("dev-1 acme,globex u_7").unwrap())
        .resolve_scope(TenantInPath::new("tenant"))
        .env(ENV)
        .build()
        .unwrap();
    let router = Router::new().route("/t/{tenant}/who", get(forward)).with_state(state);
    [start(&ledgers[0], router, layer).await, back]
}

async fn ask(front: &Server, tenant: &str) -> reqwest::Response {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    client.get(front.url(&format!("/t/{tenant}/who"))).bearer_auth("dev-1").send().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_request_has_the_same_tenant_user_and_trace_in_both_ledgers() {
    let ledgers = [TestLedger::with_seed(1), TestLedger::with_seed(2)];
    let [front, _back] = services(&ledgers, "engines").await;
    let answer: Value = ask(&front, "globex").await.json().await.unwrap();
    assert_eq!(answer, json!({"tenant": "globex", "user": "u_7"}));
    let [first, second] = [&ledgers[0], &ledgers[1]].map(|ledger| ledger.assert_one("http.request"));
    let said = |event: &DatasetEvent| {
        let (tenant, env) = (event.tenant_id().to_owned(), event.env().to_owned());
        (tenant, env, event.user_id().cloned(), event.trace_id, event.request_id.clone())
    };
    assert_eq!(said(first.event()), said(second.event()));
    assert_eq!(second.event().parent_span_id, Some(first.event().span_id));
    assert_eq!(second.event().actor.as_ref().map(|actor| actor.actor_type), Some(ActorType::Service));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_in_the_path_that_is_not_the_users_never_reaches_the_back() {
    let ledgers = [TestLedger::with_seed(1), TestLedger::with_seed(2)];
    let [front, _back] = services(&ledgers, "engines").await;
    assert_eq!(code(ask(&front, "initech").await).await, (403, "auth.scope_mismatch".to_owned()));
    assert_eq!(ledgers[0].assert_one("http.request").outcome(Outcome::Denied).event().tenant_id(), "acme");
    ledgers[1].assert_empty();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_for_another_service_is_refused_and_that_is_no_fault_of_the_client() {
    let ledgers = [TestLedger::with_seed(1), TestLedger::with_seed(2)];
    let [front, _back] = services(&ledgers, "elsewhere").await;
    assert_eq!(code(ask(&front, "acme").await).await, (502, "remote.not_trusted".to_owned()));
    let strangers = ledgers[1].system_events();
    let refused = strangers.iter().find(|event| event.surface == "http.request").unwrap();
    assert_eq!(refused.code(), Some("auth.wrong_audience"));
}
