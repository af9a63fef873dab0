//! Every access, every guarantee, and the defaults between them.

use dataset_events::{Access, Guarantee, RequestContext, dataset_event, surfaces};

#[dataset_event(surface = "access.default")]
fn default_access(ctx: &RequestContext) {}
#[dataset_event(surface = "access.read", access = "read")]
fn read(ctx: &RequestContext) {}
#[dataset_event(surface = "access.write", access = "write")]
fn write(ctx: &RequestContext) {}
#[dataset_event(surface = "access.create", access = "create")]
fn create(ctx: &RequestContext) {}
#[dataset_event(surface = "access.update", access = "update")]
fn update(ctx: &RequestContext) {}
#[dataset_event(surface = "access.delete", access = "delete", guarantee = "recorded")]
fn delete(ctx: &RequestContext) {}
#[dataset_event(surface = "access.execute", access = "execute")]
fn execute(ctx: &RequestContext) {}
#[dataset_event(surface = "access.read_intent", access = "read", guarantee = "intent")]
fn read_intent(ctx: &RequestContext) {}

fn main() {
    let ctx = RequestContext::builder("acme", "prod").build().unwrap();
    for function in [default_access, read, write, create, update, delete, execute, read_intent] {
        function(&ctx);
    }
    for (surface, access, guarantee) in [
        ("access.default", Access::Write, Guarantee::Intent),
        ("access.read", Access::Read, Guarantee::Recorded),
        ("access.write", Access::Write, Guarantee::Intent),
        ("access.create", Access::Create, Guarantee::Intent),
        ("access.update", Access::Update, Guarantee::Intent),
        ("access.delete", Access::Delete, Guarantee::Recorded),
        ("access.execute", Access::Execute, Guarantee::Intent),
        ("access.read_intent", Access::Read, Guarantee::Intent),
    ] {
        let site = surfaces().find(|site| site.surface == surface).unwrap();
        assert_eq!((site.access, site.guarantee), (access, guarantee), "{surface}");
    }
}
