use dataset_events::{Env, dataset_event};

#[dataset_event(surface = "chat.reply")]
fn reply(tenant_id: &str, env: &Env) {}

fn main() {}
