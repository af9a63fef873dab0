use dataset_events::{RequestContext, dataset_event};

#[dataset_event(surface = "chat.reply", input(?body))]
fn reply(ctx: &RequestContext) {}

fn main() {}
