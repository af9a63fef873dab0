use dataset_events::dataset_event;

#[dataset_event(surfce = "chat.reply", acess = "read", input(txt), guarantee = "sure")]
fn reply(tenant_id: &dataset_events::TenantId, text: &str) {}

fn main() {}
