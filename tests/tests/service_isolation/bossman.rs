//! Fifty tenants hammer the bossman's views at once, each over events with its own canary in every captured value.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use dataset_events::LedgerSet;
use dataset_events::testing::isolation::{IsolationTenant, Observed};
use dataset_events::testing::isolation_contract;
use dataset_events_examples::services::{ledgers_of, snapshots_of};
use reqwest::Method;
use serde_json::{Value, json};

use super::services_common::{Answer, World, observed};

const TENANTS: usize = 50;
const ROUNDS: usize = 2;

/// One tenant at work and at the views.
struct Tenant<'a> {
    world: &'a World,
    canary: &'a str,
    request_id: &'a str,
    token: String,
    observed: Vec<(String, Answer)>,
}

impl Tenant<'_> {
    async fn ask(&mut self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let request = self.world.request(method.clone(), path, &self.token);
        let request = request.header("x-request-id", self.request_id);
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        let answer = self.world.send(request).await;
        self.observed.push((format!("{method} {path}"), answer.clone()));
        answer
    }

    /// The canary in what each model keeps: names, units, reasons, labels, titles, documents.
    async fn work(&mut self) {
        let canary = self.canary;
        let policy = json!({"limit": "100000", "currency": "EUR"});
        self.ask(Method::PUT, "/v1/budget/policy", Some(policy)).await.ok();
        let origin =
            json!({"provider": canary, "model": format!("{canary}:1"), "tool": format!("t/{canary}")});
        let usage = json!({"kind": "manual", "amount": "0.25", "origin": origin});
        self.ask(Method::POST, "/v1/budget/usage", Some(usage)).await.ok();
        let kpi = json!({"unit": canary, "direction": "lower_is_better"});
        self.ask(Method::PUT, &format!("/v1/kpis/{canary}"), Some(kpi)).await.ok();
        let reading = json!({"value": "7.5", "at_us": 1_700_000_000_000_000_i64});
        self.ask(Method::POST, &format!("/v1/kpis/{canary}/readings"), Some(reading)).await.ok();
        let lock =
            json!({"strategy": canary, "pattern": "media.store", "reason": format!("because {canary}")});
        self.ask(Method::POST, "/v1/strategy-locks", Some(lock)).await.ok();
        let document = json!({"title": canary, "text": format!("The harbour of {canary}")});
        self.ask(Method::PUT, &format!("/v1/vector/documents/{canary}"), Some(document)).await.ok();
        let title = json!({"title": format!("About {canary}")});
        let thread = self.ask(Method::POST, "/v1/chat/threads", Some(title)).await.ok();
        let messages = format!("/v1/chat/threads/{}/messages", thread["thread_id"].as_str().expect("an id"));
        self.ask(Method::POST, &messages, Some(json!({"body": format!("{canary} is here.")}))).await.ok();
        // A failure whose code and user the overview keeps.
        let absent = format!("/v1/chat/threads/{canary}/messages");
        assert_eq!(self.ask(Method::GET, &absent, None).await.status, 404);
    }

    async fn views(&mut self) {
        let mut pages = Vec::new();
        for view in [
            "overview?hours=24",
            "budget?hours=24",
            "temperature",
            "kpi",
            "controls?limit=200",
            "activity",
            "ledgers",
            "overview?complete=true",
            "events?limit=200",
        ] {
            let answer = self.ask(Method::GET, &format!("/v1/bossman/{view}"), None).await;
            assert_eq!(answer.status, 200, "{view}: {}", answer.text());
            pages.push((view, answer));
        }
        let text = |view: &str| pages.iter().find(|(name, _)| *name == view).expect("asked").1.text();
        // What is right for isolation is wrong if it shows nothing: each of these models keeps the canary.
        for view in ["overview?hours=24", "budget?hours=24", "kpi", "controls?limit=200", "events?limit=200"]
        {
            assert!(text(view).contains(self.canary), "{view} shows its own: {}", text(view));
        }
        let spent: Value = serde_json::from_str(&text("budget?hours=24")).expect("JSON");
        assert_eq!(
            spent["providers"].as_array().map(Vec::len),
            Some(2),
            "its own, and what nobody was paid for: {spent}"
        );
        let events: Value = serde_json::from_str(&text("events?limit=200")).expect("JSON");
        let trace = events["events"][0]["event"]["trace_id"].as_str().expect("a trace").to_owned();
        self.ask(Method::GET, &format!("/v1/bossman/traces/{trace}"), None).await.ok();
        let first = self.ask(Method::GET, "/v1/bossman/events?limit=2", None).await.ok();
        let next = first["next"].as_str().expect("more than two events");
        self.ask(Method::GET, &format!("/v1/bossman/events?limit=2&after={next}"), None).await.ok();
    }

    /// Refusals of the views, with the canary in what is refused.
    async fn refused(&mut self) {
        let canary = self.canary;
        for (path, status) in [
            ("overview?hours=0".to_owned(), 422),
            (format!("overview?{canary}=1"), 400),
            (format!("budget?month={canary}"), 422),
            (format!("events?after={canary}"), 422),
            (format!("events?outcome={canary}"), 400),
            (format!("traces/{canary}"), 400),
            (format!("traces/{}", "7".repeat(32)), 404),
            (canary.to_owned(), 404),
        ] {
            let answer = self.ask(Method::GET, &format!("/v1/bossman/{path}"), None).await;
            assert_eq!(answer.status, status, "{path}: {}", answer.text());
        }
    }
}

async fn exercise(world: &World, tenant: &IsolationTenant) -> Observed {
    let (canary, request_id) = (tenant.canary.as_str(), tenant.request_id.as_str());
    let token = world.issuer.token(tenant.tenant_id.as_str(), tenant.env.as_str(), tenant.user_id.as_str());
    let mut tenant = Tenant { world, canary, request_id, token, observed: Vec::new() };
    tenant.work().await;
    let ledgers = [world.gateway.ledger().clone(), world.engines.ledger().clone()];
    let flushed = tokio::task::spawn_blocking(move || ledgers.iter().try_for_each(|ledger| ledger.flush()));
    flushed.await.expect("not cancelled").expect("flush");
    tenant.views().await;
    tenant.refused().await;
    observed(tenant.observed)
}

/// Every canary in some bytes: 36 letters and digits that begin with `cnry`.
fn canaries(bytes: &[u8]) -> BTreeSet<String> {
    let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
    text.match_indices("cnry").map(|(at, _)| text[at..].chars().take(36).collect()).collect()
}

#[test]
fn no_view_and_no_snapshot_of_the_bossman_has_a_canary_of_another_tenant() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let world = Arc::new(runtime.block_on(World::start()));
    let owners = Mutex::new(BTreeMap::new());
    let report = isolation_contract!(
        exercise: |tenant| {
            owners.lock().expect("not poisoned").insert(tenant.tenant_id.to_string(), tenant.clone());
            runtime.block_on(exercise(&world, tenant))
        },
        tenants: TENANTS,
        rounds: ROUNDS,
        shared: {
            "metrics" => runtime.block_on(world.metrics()),
        },
        ledgers: [world.gateway.ledger(), world.engines.ledger()],
    );
    assert_eq!(report.streams, 2 * (TENANTS + 1), "{report:?}");
    assert!(report.index_bytes > 10_000, "{report:?}");
    let owners = owners.into_inner().expect("not poisoned");
    assert_eq!(owners.len(), TENANTS);

    // The gateway's end writes what it folded: a folder for each scope, each with nothing of another.
    let world = Arc::into_inner(world).expect("the exercises are over");
    let recorded = runtime.block_on(world.end());
    let mut with_own = BTreeSet::new();
    let mut snapshots = 0;
    for path in recorded.files().iter().filter(|path| path.starts_with(snapshots_of(recorded.root()))) {
        let bytes = std::fs::read(path).expect("a snapshot");
        let body = bytes.splitn(2, |byte| *byte == b'\n').nth(1).expect("a body below its checksum");
        let file: Value = serde_json::from_slice(body).expect("a snapshot is JSON");
        let tenant = file["tenant_id"].as_str().expect("a tenant").to_owned();
        let own = owners.get(&tenant).unwrap_or_else(|| panic!("{} is of {tenant}", path.display()));
        let own = own.canary.to_ascii_lowercase();
        let found = canaries(&bytes);
        assert!(found.iter().all(|found| *found == own), "{} of {tenant} has {found:?}", path.display());
        if !found.is_empty() {
            with_own.insert(tenant);
        }
        snapshots += 1;
    }
    assert_eq!((snapshots, with_own.len()), (TENANTS, TENANTS), "one board for each scope, with its own");

    // Nor has the index that another reader builds of the same ledgers.
    let indexes = tempfile::tempdir().expect("a directory");
    let set = LedgerSet::options().root(ledgers_of(recorded.root())).index_directory(indexes.path()).open();
    for (tenant, IsolationTenant { tenant_id, env, .. }) in &owners {
        let count = set.scope(tenant_id, env).events().count().expect("counted");
        assert!(count.unread.is_empty(), "{count:?}");
        // Each request of each round left one in the gateway's ledger, most of them one in the engines' too.
        assert!(count.events > 2 * ROUNDS as u64 * 20, "{tenant} has events to index: {count:?}");
    }
    drop(set);
    let files: Vec<_> = std::fs::read_dir(indexes.path()).expect("a folder").collect();
    assert_eq!(files.len(), 2);
    for file in files {
        let bytes = std::fs::read(file.expect("an entry").path()).expect("an index");
        assert!(bytes.len() > 10_000 && canaries(&bytes).is_empty(), "hashes alone");
    }
}
