use dataset_events::{Env, TenantId, dataset_event};

#[dataset_event(surface = "chat.reply", actor = user)]
fn reply(tenant_id: &TenantId, env: &Env, user: &str) {}

fn main() {}
