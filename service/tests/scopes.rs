//! Which scope a request gets, in a real router.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use dataset_events::{AuthSubject, Env, ErrorCode, Scope, TenantId};
use dataset_events_service::{
    AuthError, DefaultScope, EnvSource, Identity, Resolution, ResolveScope, TenantInPath,
};
use tower::ServiceExt;

const DEPLOYMENT: Env = Env::from_static("prod");

fn identity(tenants: &[&str], env: Option<&str>) -> Identity {
    let mut identity = Identity::new(AuthSubject::from_static("issuer|u_7"));
    identity.tenants = tenants.iter().map(|tenant| TenantId::new(tenant).unwrap()).collect();
    identity.env = env.map(|env| Env::new(env).unwrap());
    identity
}

fn request(path: &str, headers: &[(&'static str, &[u8])]) -> Request {
    let mut request = Request::builder().uri(path).body(Body::empty()).unwrap();
    for (name, value) in headers {
        let value = HeaderValue::from_bytes(value).unwrap();
        request.headers_mut().append(HeaderName::from_static(name), value);
    }
    request
}

fn resolve(
    resolver: &dyn ResolveScope,
    identity: &Identity,
    headers: &[(&'static str, &[u8])],
) -> Result<Scope, AuthError> {
    let (parts, _) = request("/", headers).into_parts();
    resolver.resolve(Resolution::new(identity, &DEPLOYMENT, &parts))
}

fn scope(tenant: &str, env: &str) -> Result<Scope, AuthError> {
    Ok(Scope::new(TenantId::new(tenant).unwrap(), Env::new(env).unwrap()))
}

const MISMATCH: Result<Scope, AuthError> = Err(AuthError::ScopeMismatch);

#[test]
fn the_only_tenant_is_the_scope_and_headers_may_repeat_it() {
    let one = identity(&["acme"], None);
    let resolve = |headers: &[(&'static str, &[u8])]| resolve(&DefaultScope::new(), &one, headers);
    assert_eq!(resolve(&[]), scope("acme", "prod"));
    assert_eq!(resolve(&[("x-tenant-id", b"acme"), ("x-env", b"prod")]), scope("acme", "prod"));
    assert_eq!(resolve(&[("x-tenant-id", b"globex")]), MISMATCH);
    assert_eq!(resolve(&[("x-env", b"staging")]), MISMATCH);
}

#[test]
fn malformed_and_repeated_headers_are_mismatches() {
    let two = identity(&["acme", "globex"], None);
    let values: [&[u8]; 9] =
        [b"", b"$system", b"..", b"acme,globex", b"acme globex", b"ac\xffme", b"Acme", b" acme", b"acme;"];
    for value in values {
        // The header's value is taken as it is; a server trims what surrounds it.
        assert_eq!(resolve(&DefaultScope::new(), &two, &[("x-tenant-id", value)]), MISMATCH);
        assert_eq!(
            resolve(&DefaultScope::new(), &two, &[("x-tenant-id", b"acme"), ("x-env", value)]),
            MISMATCH
        );
    }
    let twice: [(&str, &[u8]); 2] = [("x-tenant-id", b"acme"), ("x-tenant-id", b"acme")];
    assert_eq!(resolve(&DefaultScope::new(), &two, &twice), MISMATCH);
    let twice: [(&str, &[u8]); 3] = [("x-tenant-id", b"acme"), ("x-env", b"prod"), ("x-env", b"prod")];
    assert_eq!(resolve(&DefaultScope::new(), &two, &twice), MISMATCH);
}

#[test]
fn of_several_tenants_the_request_names_one() {
    let two = identity(&["acme", "globex"], None);
    let resolver = DefaultScope::new();
    assert_eq!(resolve(&resolver, &two, &[]), Err(AuthError::ScopeRequired));
    assert_eq!(resolve(&resolver, &two, &[("x-tenant-id", b"globex")]), scope("globex", "prod"));
    assert_eq!(resolve(&resolver, &two, &[("x-tenant-id", b"initech")]), MISMATCH);
    assert_eq!(resolve(&resolver, &identity(&["acme", "acme"], None), &[]), scope("acme", "prod"));
    assert_eq!(resolve(&resolver, &identity(&[], None), &[]), MISMATCH);
    assert_eq!(resolve(&resolver, &identity(&[], None), &[("x-tenant-id", b"acme")]), MISMATCH);
}

#[test]
fn the_env_is_that_of_the_deployment_or_of_the_identity_as_configured() {
    let deployment = DefaultScope::new();
    let identitys = DefaultScope::new().env_source(EnvSource::Identity);
    let (none, prod, staging) =
        (identity(&["acme"], None), identity(&["acme"], Some("prod")), identity(&["acme"], Some("staging")));
    assert_eq!(resolve(&deployment, &none, &[]), scope("acme", "prod"));
    assert_eq!(resolve(&deployment, &prod, &[]), scope("acme", "prod"));
    assert_eq!(resolve(&deployment, &staging, &[]), MISMATCH);
    assert_eq!(resolve(&identitys, &none, &[]), MISMATCH);
    assert_eq!(resolve(&identitys, &staging, &[]), scope("acme", "staging"));
    assert_eq!(resolve(&identitys, &staging, &[("x-env", b"prod")]), MISMATCH);
}

/// Answers with the scope that the resolver chose, or with the code of its refusal.
async fn admit(
    State(admission): State<Arc<(TenantInPath, Identity)>>,
    request: Request,
    _: Next,
) -> Response {
    let (parts, _) = request.into_parts();
    match admission.0.resolve(Resolution::new(&admission.1, &DEPLOYMENT, &parts)) {
        Ok(scope) => scope.to_string().into_response(),
        Err(refusal) => refusal.code().name().into_response(),
    }
}

async fn answer(tenants: &[&str], path: &str, headers: &[(&'static str, &[u8])]) -> String {
    let admission = Arc::new((TenantInPath::new("tenant"), identity(tenants, None)));
    let nested = Router::new().route("/t/{tenant}/deep", get(async || "handler"));
    let router = Router::new()
        .route("/t/{tenant}/notes/{id}", get(async || "handler"))
        .route("/t/{tenant}/files/{*path}", get(async || "handler"))
        .route("/notes", get(async || "handler"))
        .nest("/api", nested)
        .fallback(async || "handler")
        .layer(from_fn_with_state(admission, admit));
    let response = router.oneshot(request(path, headers)).await.unwrap();
    let body = axum::body::to_bytes(response.into_body(), 4096).await.unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

#[tokio::test]
async fn the_path_chooses_among_the_tenants_of_the_identity() {
    let two = ["acme", "globex"];
    assert_eq!(answer(&two, "/t/globex/notes/7", &[]).await, "globex/prod");
    assert_eq!(answer(&two, "/t/globex/notes/7?tenant=acme", &[]).await, "globex/prod");
    assert_eq!(answer(&two, "/t/%67lobex/notes/7", &[]).await, "globex/prod");
    assert_eq!(answer(&two, "/t/globex/files/a/b/acme", &[]).await, "globex/prod");
    assert_eq!(answer(&two, "/api/t/acme/deep", &[]).await, "acme/prod");
    assert_eq!(answer(&two, "/t/globex/notes/7", &[("x-tenant-id", b"globex")]).await, "globex/prod");
    assert_eq!(answer(&two, "/t/globex/notes/7", &[("x-tenant-id", b"acme")]).await, "auth.scope_mismatch");
}

#[tokio::test]
async fn a_path_never_adds_a_tenant() {
    for path in [
        "/t/initech/notes/7",
        "/t/%2e%2e/notes/7",
        "/t/%24system/notes/7",
        "/t/acme%2Fx/notes/7",
        "/t/%2561cme/notes/7",
        "/t/%zz/notes/7",
        "/t/ACME/notes/7",
    ] {
        assert_eq!(answer(&["acme"], path, &[]).await, "auth.scope_mismatch", "{path}");
    }
}

#[tokio::test]
async fn routes_without_the_parameter_resolve_as_the_default_does() {
    assert_eq!(answer(&["acme"], "/notes", &[]).await, "acme/prod");
    assert_eq!(answer(&["acme", "globex"], "/notes", &[]).await, "auth.scope_required");
    assert_eq!(answer(&["acme", "globex"], "/notes", &[("x-tenant-id", b"acme")]).await, "acme/prod");
    assert_eq!(answer(&["acme"], "/nowhere", &[]).await, "acme/prod");
}
