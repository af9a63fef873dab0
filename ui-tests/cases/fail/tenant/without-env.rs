use dataset_events::{TenantId, dataset_event};

const TENANT: TenantId = TenantId::from_static("acme");

#[dataset_event(surface = "chat.reply", tenant = TENANT)]
fn reply() {}

fn main() {}
