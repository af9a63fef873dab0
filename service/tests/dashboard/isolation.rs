//! Tenants see their own events only: in bodies, headers, and on disk.

use std::sync::Arc;

use dataset_events::LedgerSet;
use dataset_events_service::Admission;
use dataset_events_service::dashboard::Dashboard;
use http::Request;
use serde_json::Value;
use tower::ServiceExt as _;

use crate::over_http::{ENV, NamedScope, TestTokens};
use crate::stage::{BASE, Stage, texts};

/// An answer without what differs by request.
async fn shown(stage: &Stage, path: &str) -> (u16, String) {
    let answer = stage.get("acme", path).await;
    let status = answer.status().as_u16();
    let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    let trace = answer.headers()["traceparent"].to_str().unwrap()[3..35].to_owned();
    let body = answer.text().await.unwrap();
    (status, body.replace(&id, "ID").replace(&trace, "TRACE"))
}

#[tokio::test]
async fn what_is_foreign_looks_like_what_does_not_exist() {
    let stage = Stage::new().await;
    stage.seed("acme");
    let foreign = stage.seed("globex");
    let unknown_id = "01900000-0000-7000-8000-000000000001";
    let unknown_place = format!("{}.9999.{}", foreign.events[0].recorded_at, foreign.events[0].ledger_id);
    let pairs = [
        ("events", foreign.place(0), unknown_place.clone()),
        ("events", foreign.events[0].event_id.to_string(), unknown_id.to_owned()),
        ("events", foreign.place(1), "garbage".to_owned()),
        ("traces", foreign.trace_id.clone(), "0123456789abcdef0123456789abcdef".to_owned()),
    ];
    for (kind, foreign, unknown) in pairs {
        for api in ["", "/api"] {
            let of_other = shown(&stage, &format!("{api}/{kind}/{foreign}")).await;
            let of_nobody = shown(&stage, &format!("{api}/{kind}/{unknown}")).await;
            assert_eq!(of_other.0, 404);
            assert_eq!(of_other, of_nobody, "{kind} {foreign}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_tenants_at_once_see_their_own_canaries_alone() {
    let snapshots = tempfile::tempdir().unwrap();
    // Fewer desks than tenants, so that they come and go.
    let stage = Stage::with(|builder| builder.snapshots(snapshots.path()).max_scopes(8)).await;
    let canary = |tenant: usize| format!("canary{tenant:02}x");
    for tenant in 0..50 {
        let name = format!("tenant-{tenant:02}");
        for ledger in [&stage.orders, &stage.payments] {
            let ctx = ledger.context(name.as_str(), "test").user_id(canary(tenant).as_str()).build().unwrap();
            for _ in 0..3 {
                let surface = format!("engine.{}", canary(tenant));
                ctx.event(&surface).input("secret", &canary(tenant)).record().unwrap();
            }
        }
    }
    stage.flush();
    let stage = Arc::new(stage);
    let tasks = (0..50).map(|tenant| {
        let stage = Arc::clone(&stage);
        tokio::spawn(async move {
            let name = format!("tenant-{tenant:02}");
            for path in
                ["", "/events", "/api/events", "/api/overview", "/coverage", "/api/health", "?window=all"]
            {
                let answer = stage.get(&name, path).await;
                assert_eq!(answer.status(), 200, "{name} {path}");
                let heads = format!("{:?}", answer.headers());
                let body = answer.text().await.unwrap();
                for other in (0..50).filter(|other| *other != tenant) {
                    let (canary, other) = (format!("canary{other:02}x"), format!("tenant-{other:02}"));
                    assert!(
                        !body.contains(&canary) && !heads.contains(&canary),
                        "{name} sees {canary} at {path}"
                    );
                    assert!(
                        !body.contains(&other) && !heads.contains(&other),
                        "{name} sees {other} at {path}"
                    );
                }
                assert!(path.ends_with("health") || body.contains(&canary(tenant)), "{name} at {path}");
            }
            assert_eq!(
                stage.json(&name, "/api/overview").await["by_surface"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .filter(|row| row["surface"].as_str().unwrap().starts_with("engine."))
                    .map(|row| row["events"].as_u64().unwrap())
                    .collect::<Vec<_>>(),
                [6]
            );
        })
    });
    futures::future::join_all(tasks).await.into_iter().for_each(|task| task.unwrap());
    let saving = stage.dashboard.clone();
    tokio::task::spawn_blocking(move || saving.save_snapshots()).await.unwrap();

    let (mut files, mut folders) = (0, std::fs::read_dir(snapshots.path()).unwrap());
    while let Some(Ok(folder)) = folders.next() {
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let content = std::fs::read_to_string(file.unwrap().path()).unwrap();
            let holds: Vec<usize> =
                (0..50).filter(|tenant| content.contains(&format!("canary{tenant:02}x"))).collect();
            assert_eq!(holds.len(), 1, "a snapshot holds one tenant: {holds:?}");
            files += 1;
        }
    }
    assert!(files >= 8, "{files} snapshots");

    // Rebuilt from zero, and from the snapshots, the answers are those of the live one.
    let set = || LedgerSet::options().ledger(&stage.orders).ledger(&stage.payments).open();
    let fresh = Dashboard::builder(set()).build().unwrap();
    let resumed = Dashboard::builder(set()).snapshots(snapshots.path()).build().unwrap();
    for tenant in [0, 17, 49] {
        let name = format!("tenant-{tenant:02}");
        let live = digest(stage.json(&name, "/api/overview?window=all").await);
        for other in [&fresh, &resumed] {
            assert_eq!(digest(overview(&stage, other, &name).await), live, "{name}");
        }
    }
}

/// What does not change by looking.
fn digest(overview: Value) -> Value {
    let rows = overview["by_surface"].as_array().unwrap().iter();
    let engines: Vec<_> = rows.filter(|row| row["surface"] != "http.request").cloned().collect();
    serde_json::json!([engines, overview["by_code"], overview["failures"], overview["latest_failures"]])
}

async fn overview(stage: &Stage, dashboard: &Dashboard, tenant: &str) -> Value {
    let admission =
        Admission::builder(&stage.orders).authenticate(TestTokens).resolve_scope(NamedScope).env(ENV);
    let router = dashboard.mount(&admission.build().unwrap());
    let request =
        Request::get("/api/overview?window=all").header("authorization", format!("Bearer {tenant}~u_ada"));
    let answer = router.oneshot(request.body(axum::body::Body::empty()).unwrap()).await.unwrap();
    let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    serde_json::from_slice(&body).unwrap()
}

#[tokio::test]
async fn the_dashboard_can_share_one_admission_layer_with_a_service() {
    let stage = Stage::new().await;
    stage.seed("acme");
    let dashboard = Dashboard::builder(LedgerSet::of(&stage.orders)).base_path(BASE).build().unwrap();
    let admission =
        Admission::builder(&stage.orders).authenticate(TestTokens).resolve_scope(NamedScope).env(ENV);
    let hello = axum::routing::get(|| async { "hello" });
    let router = axum::Router::new()
        .route("/hello", hello)
        .nest(BASE, dashboard.router())
        .fallback(dataset_events_service::route_not_found)
        .layer(admission.build().unwrap())
        .merge(axum::Router::new().nest(BASE, dashboard.open_router()))
        .layer(dashboard.shell());
    let get = |path: String| {
        let request = Request::get(path).header("cookie", "dataset_events_session=acme~u_ada");
        router.clone().oneshot(request.body(axum::body::Body::empty()).unwrap())
    };
    let answer = get(BASE.to_owned()).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.headers().contains_key("content-security-policy"));
    let answer = get(format!("{BASE}/nothing")).await.unwrap();
    assert_eq!(answer.status(), 404);
    let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    assert_eq!(texts(std::str::from_utf8(&body).unwrap(), "h1"), ["Not found"]);
    let answer = get("/hello".to_owned()).await.unwrap();
    assert_eq!(answer.status(), 401, "the session is the dashboard's, not the service's");
    assert!(!answer.headers().contains_key("content-security-policy"));
    let other = get(format!("{BASE}board")).await.unwrap();
    assert_eq!(other.status(), 401, "a longer name is not below the base");
}
