use dataset_events::{RequestContext, dataset_event};

#[dataset_event(surface = "chat.reply", ends = "drop")]
fn reply(ctx: &RequestContext) {}

fn main() {}
