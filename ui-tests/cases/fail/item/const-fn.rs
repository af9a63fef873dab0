use dataset_events::{RequestContext, dataset_event};

#[dataset_event(surface = "chat.reply")]
const fn reply(ctx: &RequestContext) {}

fn main() {}
