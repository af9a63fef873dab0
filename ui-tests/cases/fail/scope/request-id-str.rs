use dataset_events::{Env, TenantId, dataset_event};

#[dataset_event(surface = "chat.reply")]
fn reply(tenant_id: &TenantId, env: &Env, request_id: &str) {}

fn main() {}
