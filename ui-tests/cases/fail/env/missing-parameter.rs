use dataset_events::{TenantId, dataset_event};

#[dataset_event(surface = "chat.reply")]
fn reply(tenant_id: &TenantId, text: &str) {}

fn main() {}
