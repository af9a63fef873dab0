use dataset_events::{RequestContext, dataset_event};

#[dataset_event(surface = "chat.reply", ctx = )]
fn reply(ctx: &RequestContext) {}

fn main() {}
