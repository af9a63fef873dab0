use dataset_events::{Env, RequestContext, TenantId, dataset_event};

const TENANT: TenantId = TenantId::from_static("acme");
const ENV: Env = Env::from_static("prod");

#[dataset_event(surface = "chat.reply", ctx = ctx, tenant = TENANT, env = ENV)]
fn reply(ctx: &RequestContext) {}

fn main() {}
