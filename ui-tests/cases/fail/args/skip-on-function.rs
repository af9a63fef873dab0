use dataset_events::{RequestContext, dataset_event};

#[dataset_event(surface = "chat.reply", skip = "no data")]
fn reply(ctx: &RequestContext) {}

fn main() {}
