use dataset_events::{TenantId, dataset_event};

#[dataset_event(surface = "chat.reply")]
fn reply(tenant_id: &TenantId, env: String) {}

fn main() {}
