use dataset_events::{RequestContext, dataset_event};

#[dataset_event(surfce = "chat.reply")]
fn reply(ctx: &RequestContext) {}

fn main() {}
