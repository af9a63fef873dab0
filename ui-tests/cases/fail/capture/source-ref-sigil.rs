use dataset_events::{RequestContext, dataset_event};

#[dataset_event(surface = "chat.reply", source_refs(thread = ?thread_id))]
fn reply(ctx: &RequestContext, thread_id: &str) {}

fn main() {}
