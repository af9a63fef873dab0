//! Where the dashboard is: at its base, and at its base with a slash behind it.

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use dataset_events::LedgerSet;
use dataset_events_service::Admission;
use dataset_events_service::dashboard::Dashboard;
use tower::ServiceExt as _;

use crate::over_http::{ENV, NamedScope, TestTokens};
use crate::stage::Stage;

fn dashboard(stage: &Stage, base: &str) -> (Dashboard, Admission) {
    let dashboard = Dashboard::builder(LedgerSet::of(&stage.orders)).base_path(base).build().unwrap();
    let admission =
        Admission::builder(&stage.orders).authenticate(TestTokens).resolve_scope(NamedScope).env(ENV);
    (dashboard, admission.build().unwrap())
}

async fn get(router: &Router, path: &str) -> Response<Body> {
    let request = Request::get(path).header("cookie", "dataset_events_session=acme~u_ada");
    router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

async fn assert_leads_to_the_base(router: &Router, base: &str) {
    assert_eq!(get(router, base).await.status(), 200);
    for query in ["", "?window=hour"] {
        let answer = get(router, &format!("{base}/{query}")).await;
        assert_eq!(answer.status(), 308);
        assert_eq!(answer.headers()["location"], format!("{base}{query}"));
        assert_eq!(answer.headers()["cache-control"], "no-store");
        assert!(answer.headers().contains_key("content-security-policy"));
        assert!(!answer.headers().contains_key("set-cookie"));
    }
    assert_eq!(get(router, &format!("{base}//")).await.status(), 404);
}

#[tokio::test]
async fn a_nested_dashboard_answers_with_a_slash_behind_its_base() {
    let stage = Stage::new().await;
    for base in ["/dash", "/internal/dash"] {
        let (dashboard, admission) = dashboard(&stage, base);
        let hello = Router::new().route("/hello", axum::routing::get(|| async { "hello" }));
        let router = hello.merge(dashboard.nested(&admission));
        assert_leads_to_the_base(&router, base).await;
        assert_eq!(get(&router, "/hello").await.status(), 200);
    }
}

#[tokio::test]
async fn the_shell_around_a_whole_service_does_the_same() {
    let stage = Stage::new().await;
    let (dashboard, admission) = dashboard(&stage, "/dash");
    let router = Router::new()
        .nest("/dash", dashboard.router())
        .fallback(dataset_events_service::route_not_found)
        .layer(admission)
        .merge(Router::new().nest("/dash", dashboard.open_router()))
        .layer(dashboard.shell());
    assert_leads_to_the_base(&router, "/dash").await;
    assert_eq!(get(&router, "/").await.status(), 401, "the root is the service's");
}

#[tokio::test]
async fn at_the_root_there_is_one_address() {
    let stage = Stage::new().await;
    let (dashboard, admission) = dashboard(&stage, "");
    let router = dashboard.nested(&admission);
    assert_eq!(get(&router, "/").await.status(), 200);
    assert_eq!(get(&router, "/events").await.status(), 200);
}
