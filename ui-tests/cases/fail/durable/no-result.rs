use dataset_events::{RequestContext, dataset_event};

#[dataset_event(surface = "chat.reply", guarantee = "durable")]
fn reply(ctx: &RequestContext) {}

fn main() {}
