use std::sync::Arc;

use dataset_events::testing::TestLedger;
use dataset_events::{Env, HasRequestContext, RequestContext, RequestId, TenantId, TraceId, UserId, dataset_event};

struct Session {
    ctx: RequestContext,
}

impl HasRequestContext for Session {
    fn request_context(&self) -> &RequestContext {
        &self.ctx
    }
}

#[dataset_event(surface = "scope.by_type")]
fn by_type(request: &RequestContext) {}
#[dataset_event(surface = "scope.by_shared_pointer")]
fn by_shared_pointer(request: Arc<RequestContext>) {
    drop(request);
}
#[dataset_event(surface = "scope.by_path")]
fn by_path(request: &dataset_events::RequestContext) {}
#[dataset_event(surface = "scope.by_name")]
fn by_name(ctx: &Session) {}
#[dataset_event(surface = "scope.by_other_name")]
fn by_other_name(context: &dyn HasRequestContext) {}
#[dataset_event(surface = "scope.by_impl")]
fn by_impl(ctx: &impl HasRequestContext) {}
#[dataset_event(surface = "scope.by_expression", ctx = session.lock().unwrap().ctx)]
fn by_expression(session: &std::sync::Mutex<Session>) {
    // The lock of the attribute's expression is free again.
    drop(session.lock().unwrap());
}
#[dataset_event(surface = "scope.of_two", ctx = to)]
fn of_two(from: &RequestContext, to: &RequestContext) {
    let _ = from;
}
#[dataset_event(surface = "scope.by_pair")]
fn by_pair(tenant_id: &TenantId, env: Env) {
    drop(env);
}
#[dataset_event(surface = "scope.by_pair_with_ids")]
fn by_pair_with_ids(tenant_id: TenantId, env: &Env, request_id: Option<RequestId>, trace_id: TraceId, user_id: &str) {
    let _ = (tenant_id, request_id, trace_id, user_id);
}
#[dataset_event(surface = "scope.by_expressions", tenant = tenants[0], env = ENV, actor = user)]
fn by_expressions(tenants: &[TenantId], user: Option<&UserId>) {}

const ENV: Env = Env::from_static("prod");

fn main() {
    let ledger = TestLedger::new();
    let _here = ledger.enter();
    let ctx = ledger.context("acme", "prod").user_id("u").build().unwrap();
    let session = Session { ctx: ctx.clone() };
    by_type(&ctx);
    by_shared_pointer(Arc::new(ctx.clone()));
    by_path(&ctx);
    by_name(&session);
    by_other_name(&session);
    by_impl(&session);
    by_expression(&std::sync::Mutex::new(Session { ctx: ctx.clone() }));
    of_two(&ledger.context("other", "prod").build().unwrap(), &ctx);
    let tenant = TenantId::from_static("acme");
    by_pair(&tenant, ENV);
    let request: RequestId = "r_1".parse().unwrap();
    by_pair_with_ids(tenant.clone(), &ENV, Some(request.clone()), ctx.trace_id(), "never the actor");
    by_expressions(&[tenant], Some(&"u".parse().unwrap()));
    let events = ledger.events();
    assert_eq!(events.len(), 11);
    assert!(events.iter().all(|event| event.tenant_id() == "acme" && event.env() == "prod"));
    let with_ids = ledger.assert_one("scope.by_pair_with_ids");
    assert_eq!(with_ids.event().request_id, request);
    assert_eq!(with_ids.event().trace_id, ctx.trace_id());
    assert_eq!(with_ids.event().user_id(), None);
    ledger.assert_one("scope.by_expressions").user("u");
}
