//! Fifty tenants at once send canaries wherever the services take data; none turns up with another.

use std::process::Command;
use std::sync::Arc;

use dataset_events::testing::isolation::{IsolationTenant, Observed};
use dataset_events::testing::isolation_contract;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::services_common::{Answer, World, observed};

/// Says to a process that it is the one whose output is looked at.
const CHILD: &str = "DATASET_EVENTS_ISOLATION_CHILD";
/// The test itself, by the name that the harness knows it by.
const NAME: &str = "canaries::fifty_tenants_see_no_canary_of_another_nor_does_what_is_shared";
const TENANTS: usize = 50;
const ROUNDS: usize = 2;

/// One tenant's way through every engine of both services.
struct Exercise<'a> {
    world: &'a World,
    tenant: &'a IsolationTenant,
    token: String,
    observed: Vec<(String, Answer)>,
}

impl Exercise<'_> {
    /// A request with canaries in its id, its user agent and headers of its own.
    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let canary = &self.tenant.canary;
        let request = self.world.request(method, path, &self.token);
        let request = request.header("x-request-id", self.tenant.request_id.as_str());
        let request = request.header("user-agent", format!("agent/{canary}"));
        request.header("x-note", canary).header("cookie", format!("session={canary}"))
    }

    async fn send(&mut self, what: &str, request: RequestBuilder) -> Answer {
        let answer = self.world.send(request).await;
        self.observed.push((what.to_owned(), answer.clone()));
        answer
    }

    async fn json(&mut self, method: Method, path: &str, body: Value) -> Answer {
        let request = self.request(method.clone(), path).json(&body);
        self.send(&format!("{method} {path}"), request).await
    }

    async fn get(&mut self, path: &str) -> Answer {
        let request = self.request(Method::GET, path);
        self.send(&format!("GET {path}"), request).await
    }

    async fn chat(&mut self) {
        let canary = self.tenant.canary.clone();
        let policy = json!({"limit": "100000", "currency": "EUR"});
        self.json(Method::PUT, "/v1/budget/policy", policy).await.ok();
        let title = json!({"title": format!("About {canary}")});
        let thread = self.json(Method::POST, "/v1/chat/threads", title).await.ok();
        let thread = format!("/v1/chat/threads/{}", thread["thread_id"].as_str().expect("an id"));
        let text = json!({"body": format!("The secret of this house is {canary}. It is well kept here.")});
        self.json(Method::POST, &format!("{thread}/messages"), text).await.ok();
        let reply = self.json(Method::POST, &format!("{thread}/reply"), json!(null)).await;
        assert!(reply.text().contains("\"done\""), "{}", reply.text());
        let request = self.request(Method::POST, &format!("{thread}/images"));
        let broken = self.send("a panic", request.body(&b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR"[..])).await;
        assert_eq!((broken.status, broken.code().as_str()), (500, "internal"));
        self.get(&format!("{thread}/messages")).await.ok();
        let threads = self.get("/v1/chat/threads").await.ok();
        assert_eq!(threads.as_array().map(Vec::len), Some(self.tenant.round + 1), "its own threads");
    }

    async fn engines(&mut self) {
        let canary = self.tenant.canary.clone();
        let upload = self.request(Method::POST, "/v1/media").header("content-type", "text/plain");
        let stored = self.send("media", upload.body(format!("bytes of {canary}"))).await.ok();
        let id = stored["info"]["media_id"].as_str().expect("an id").to_owned();
        assert!(self.get(&format!("/v1/media/{id}")).await.text().contains(&canary));
        self.get("/v1/media").await.ok();
        let document =
            json!({"title": format!("About {canary}"), "text": format!("The harbour of {canary}")});
        self.json(Method::PUT, &format!("/v1/vector/documents/{canary}"), document).await.ok();
        let query = json!({"text": "the harbour of everybody", "top_k": 50});
        let hits = self.json(Method::POST, "/v1/vector/query", query).await.ok();
        assert_eq!(hits.as_array().map(Vec::len), Some(1), "its own document: {hits}");
        let kpi = json!({"unit": canary, "direction": "lower_is_better"});
        self.json(Method::PUT, &format!("/v1/kpis/{canary}"), kpi).await.ok();
        let reading = json!({"value": "7.5", "at_us": 1_700_000_000_000_000_i64});
        self.json(Method::POST, &format!("/v1/kpis/{canary}/readings"), reading).await.ok();
        self.get("/v1/kpis").await.ok();
        let lock =
            json!({"strategy": canary, "pattern": "media.store", "reason": format!("because {canary}")});
        self.json(Method::POST, "/v1/strategy-locks", lock).await;
        self.get("/v1/strategy-locks?state=proposed").await.ok();
        self.get("/v1/budget/summary").await.ok();
    }

    /// Refusals of every layer, each with the canary in what is refused.
    async fn refused(&mut self) {
        let canary = self.tenant.canary.clone();
        let wrong = json!({"title": 7, canary.clone(): canary});
        assert_eq!(self.json(Method::POST, "/v1/chat/threads", wrong).await.status, 400);
        assert_eq!(self.get(&format!("/v1/{canary}")).await.code(), "http.route_not_found");
        assert_eq!(self.get(&format!("/v1/media/{canary}")).await.status, 400);
        assert_eq!(self.get(&format!("/v1/chat/threads?{canary}={canary}")).await.status, 400);
        assert_eq!(self.get(&format!("/v1/chat/threads/{canary}/messages")).await.status, 404);
        let request = self.request(Method::GET, "/v1/kpis").header("x-tenant-id", &canary);
        assert_eq!(self.send("another scope", request).await.code(), "auth.scope_mismatch");
        // Of nobody: such an event is in no tenant's stream, and must hold nothing of the credential.
        let url = format!("{}/v1/kpis?{canary}", self.world.gateway.url());
        let request = self.world.http.get(url).bearer_auth(format!("{canary}.{canary}.{canary}"));
        assert_eq!(self.send("of nobody", request.header("x-note", &canary)).await.status, 401);
    }

    async fn dashboard(&mut self) {
        let request_id = self.tenant.request_id.clone();
        let overview = self.get("/v1/bossman/overview").await;
        assert_eq!(overview.status, 200, "{}", overview.text());
        let events = self.get(&format!("/v1/bossman/events?request_id={request_id}&limit=50")).await;
        assert_eq!(events.status, 200, "{}", events.text());
        let trace = overview.header("traceparent").split('-').nth(1).expect("a trace id").to_owned();
        self.get(&format!("/v1/bossman/traces/{trace}")).await;
    }
}

async fn exercise(world: &World, tenant: &IsolationTenant) -> Observed {
    let user = tenant.user_id.as_str();
    let token = world.issuer.token(tenant.tenant_id.as_str(), tenant.env.as_str(), user);
    let mut exercise = Exercise { world, tenant, token, observed: Vec::new() };
    exercise.chat().await;
    exercise.engines().await;
    exercise.refused().await;
    exercise.dashboard().await;
    observed(exercise.observed)
}

fn run_contract() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let world = Arc::new(runtime.block_on(World::start()));
    let report = isolation_contract!(
        exercise: |tenant| runtime.block_on(exercise(&world, tenant)),
        tenants: TENANTS,
        rounds: ROUNDS,
        shared: {
            "metrics" => runtime.block_on(world.metrics()),
            "health" => format!("{:?} {:?}", world.gateway.ledger().stats(), world.engines.ledger().index_health()),
        },
        ledgers: [world.gateway.ledger(), world.engines.ledger()],
    );
    // Two ledgers with 50 tenants and `$system` each; some thirty requests of each tenant and round.
    assert_eq!(report.streams, 2 * (TENANTS + 1), "{report:?}");
    assert!(report.lines > (TENANTS * ROUNDS * 60) as u64 && report.index_bytes > 10_000, "{report:?}");
    let world = Arc::into_inner(world).expect("the exercises are over");
    let recorded = runtime.block_on(world.end());
    let panics = recorded.gateway.events.iter().filter(|event| {
        event.surface == "chat.attach_image" && event.outcome == dataset_events::Outcome::Panic
    });
    assert_eq!(panics.count(), TENANTS * ROUNDS);
}

#[test]
fn fifty_tenants_see_no_canary_of_another_nor_does_what_is_shared() {
    if std::env::var_os(CHILD).is_some() {
        return run_contract();
    }
    // What the services say on their standard streams, panics among it, is a log that operators share.
    let mut child = Command::new(std::env::current_exe().expect("this program"));
    let output = child.args(["--exact", NAME, "--nocapture"]).env(CHILD, "1").output().expect("a process");
    let said = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("1 passed"), "the contract ran: {text}");
    let panics = text.matches("panicked at examples/src/engines/chat/image.rs").count();
    assert_eq!(panics, TENANTS * ROUNDS, "each panic is in what was captured: {text}");
    // Every canary begins so.
    let leaks: Vec<_> = text.lines().filter(|line| line.to_ascii_lowercase().contains("cnry")).collect();
    assert!(leaks.is_empty(), "{leaks:#?}");
}
