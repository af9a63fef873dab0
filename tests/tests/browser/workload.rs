//! A scope's work over HTTP, as the main job does it, so that every page has something to show.

use dataset_events_examples::engines::chat::MAX_BODY_BYTES;
use reqwest::Method;
use serde_json::{Value, json};

use crate::services_common::World;
use crate::services_common::issuer::now;

/// Readings of each KPI, one every half an hour until now.
const READINGS: i64 = 36;

/// A user of a scope.
struct User<'a> {
    world: &'a World,
    token: String,
}

impl<'a> User<'a> {
    fn new(world: &'a World, tenant: &str, env: &str, name: &str) -> Self {
        Self { world, token: world.issuer.token(tenant, env, name) }
    }

    /// A request that is answered with this status.
    async fn ask(&self, status: u16, method: Method, path: &str, body: Value) -> Value {
        let request = self.world.request(method.clone(), path, &self.token).json(&body);
        let answer = self.world.send(request).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
        if answer.body.is_empty() { Value::Null } else { answer.json() }
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        self.ask(200, Method::POST, path, body).await
    }

    async fn put(&self, path: &str, body: Value) -> Value {
        self.ask(200, Method::PUT, path, body).await
    }

    async fn upload(&self, status: u16, path: &str, kind: Option<&str>, bytes: &'static [u8]) -> Value {
        let request = self.world.request(Method::POST, path, &self.token).body(bytes);
        let request = match kind {
            Some(kind) => request.header("content-type", kind),
            None => request,
        };
        let answer = self.world.send(request).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        answer.json()
    }

    async fn thread(&self, title: &str) -> String {
        let thread = self.post("/v1/chat/threads", json!({"title": title})).await;
        format!("/v1/chat/threads/{}", thread["thread_id"].as_str().expect("an id"))
    }

    /// A reply, to its end or left after its first piece.
    async fn reply(&self, thread: &str, is_patient: bool) {
        let request = self.world.request(Method::POST, &format!("{thread}/reply"), &self.token);
        let mut answer = request.send().await.expect("a reply");
        while answer.chunk().await.expect("a piece").is_some() && is_patient {}
    }
}

fn micros(minutes_ago: i64) -> i64 {
    (i64::try_from(now()).expect("before the year 292,471") - minutes_ago * 60) * 1_000_000
}

/// The work of a tenant whose every page is looked at.
pub(crate) async fn day(world: &World, tenant: &str, env: &str) {
    let [ada, grace, linus] = ["ada", "grace", "linus"].map(|name| User::new(world, tenant, env, name));
    spend(&grace).await;
    measure(&grace).await;
    keep(&ada).await;
    talk(&ada, &linus).await;
    control(&grace, &linus, &ada).await;
}

/// A little of it.
pub(crate) async fn hour(world: &World, tenant: &str, env: &str) {
    let user = User::new(world, tenant, env, "u_1");
    user.put("/v1/budget/policy", json!({"limit": "20", "currency": "EUR"})).await;
    let thread = user.thread("Questions of globex").await;
    user.post(&format!("{thread}/messages"), json!({"body": "Nobody else may read this."})).await;
}

async fn spend(operator: &User<'_>) {
    operator.put("/v1/budget/policy", json!({"limit": "250", "currency": "EUR"})).await;
    for (amount, origin) in [
        ("96.40", json!({"provider": "openai", "model": "gpt-4o", "tool": null})),
        ("41.18", json!({"provider": "anthropic", "model": "claude-sonnet", "tool": "web/search"})),
        ("12.50", json!({"provider": "print_shop"})),
    ] {
        operator
            .post("/v1/budget/usage", json!({"kind": "manual", "amount": amount, "origin": origin}))
            .await;
    }
    operator.ask(422, Method::POST, "/v1/budget/usage", json!({"kind": "manual", "amount": "-1"})).await;
}

/// Two KPIs over hours, and the temperature with one breach.
async fn measure(operator: &User<'_>) {
    let kpis = [
        ("answered_share", "percent", "higher_is_better", "80", "100", 93.0, 9.0),
        ("waiting_time", "s", "lower_is_better", "0", "10", 4.0, 3.5),
    ];
    for (name, unit, direction, low, high, middle, swing) in kpis {
        operator.put(&format!("/v1/kpis/{name}"), json!({"unit": unit, "direction": direction})).await;
        let corridor = json!({"low": low, "high": high, "guards": null, "weight": 1});
        operator.put(&format!("/v1/kpis/{name}/corridor"), corridor).await;
        for at in 0..READINGS {
            // A wave, with one reading far out of its corridor.
            let value = middle + swing * (at as f64 / 5.0).sin() * if at == 24 { -2.4 } else { 0.7 };
            let reading = json!({"value": format!("{value:.2}"), "at_us": micros((READINGS - at) * 30)});
            operator.post(&format!("/v1/kpis/{name}/readings"), reading).await;
        }
    }
    operator.put("/v1/temperature/bounds", json!({"floor": "5", "ceiling": "60", "guards": "vector"})).await;
    for (answered, waiting) in
        [("97", "1.5"), ("95", "2.8"), ("91", "4.9"), ("86", "8.6"), ("92", "4.2"), ("96", "2.1")]
    {
        for (name, value) in [("answered_share", answered), ("waiting_time", waiting)] {
            operator
                .post(&format!("/v1/kpis/{name}/readings"), json!({"value": value, "at_us": micros(0)}))
                .await;
        }
        operator.post("/v1/temperature/snapshots", Value::Null).await;
    }
    operator.ask(404, Method::GET, "/v1/kpis/undefined/latest", Value::Null).await;
}

async fn keep(user: &User<'_>) {
    for text in [&b"The terms of the year."[..], b"# Minutes\n\nNobody objected.", b"a,b\n1,2\n"] {
        user.upload(200, "/v1/media", Some("text/plain"), text).await;
    }
    user.upload(415, "/v1/media", Some("image/png"), b"plainly no picture").await;
    let absent = format!("/v1/media/{}", "0".repeat(64));
    user.ask(404, Method::GET, &absent, Value::Null).await;
    for (id, text) in
        [("terms", "Who pays when the goods are late"), ("minutes", "The meeting began at noon")]
    {
        user.put(&format!("/v1/vector/documents/{id}"), json!({"title": id, "text": text})).await;
    }
    user.post("/v1/vector/query", json!({"text": "when did the meeting begin", "top_k": 2})).await;
    user.ask(422, Method::POST, "/v1/vector/query", json!({"text": "?!", "top_k": 3})).await;
}

async fn talk(ada: &User<'_>, linus: &User<'_>) {
    for (at, title) in ["Late goods", "Prices of next year", "A new harbour"].into_iter().enumerate() {
        let user = if at == 1 { linus } else { ada };
        let thread = user.thread(title).await;
        for body in ["Where are they?", "Nobody has seen them since Tuesday."] {
            user.post(&format!("{thread}/messages"), json!({"body": body})).await;
        }
        user.reply(&thread, at != 2).await;
        user.ask(200, Method::GET, &format!("{thread}/messages"), Value::Null).await;
        if at == 0 {
            let long = json!({"body": "x".repeat(MAX_BODY_BYTES + 1)});
            user.ask(413, Method::POST, &format!("{thread}/messages"), long).await;
            // An image that broke off: the engine panics on it, and the request is where that ends.
            user.upload(500, &format!("{thread}/images"), None, b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0").await;
        }
    }
    ada.ask(404, Method::GET, "/v1/chat/threads/th_of_nobody/messages", Value::Null).await;
}

/// A switch that was engaged and released; one lock in force, one proposed, one released.
async fn control(grace: &User<'_>, linus: &User<'_>, ada: &User<'_>) {
    let thread = ada.thread("While it is stopped").await;
    let messages = format!("{thread}/messages");
    grace.put("/v1/kill-switches/chat", json!({"change": "engage", "reason": "incident"})).await;
    ada.ask(403, Method::POST, &messages, json!({"body": "Is anybody there?"})).await;
    grace.put("/v1/kill-switches/chat", json!({"change": "release", "reason": "incident"})).await;
    grace.put("/v1/kill-switches/media", json!({"change": "engage", "reason": "maintenance"})).await;
    let proposal = |strategy: &str, pattern: &str| json!({"strategy": strategy, "pattern": pattern, "reason": "the terms are being looked at"});
    let mut locks = Vec::new();
    for (strategy, pattern) in
        [("bulk_upload", "chat.send_message"), ("archive", "media.store"), ("reindex", "vector.*")]
    {
        let lock = grace.post("/v1/strategy-locks", proposal(strategy, pattern)).await;
        locks.push(format!("/v1/strategy-locks/{}", lock["lock_id"].as_str().expect("an id")));
    }
    let seen = |version: u64| json!({"expected_version": version});
    grace.ask(403, Method::POST, &format!("{}/approve", locks[0]), seen(1)).await;
    for lock in &locks[..2] {
        linus.post(&format!("{lock}/approve"), seen(1)).await;
    }
    ada.ask(403, Method::POST, &messages, json!({"body": "May I send this?"})).await;
    grace.post(&format!("{}/release", locks[0]), seen(2)).await;
    ada.post(&messages, json!({"body": "Now I may."})).await;
    ada.reply(&thread, true).await;
}
