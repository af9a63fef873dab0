use dataset_events::{RequestContext, dataset_event};

#[dataset_event(surface = "chat.reply", guarantee = "committed")]
fn reply(ctx: &RequestContext) {}

fn main() {}
