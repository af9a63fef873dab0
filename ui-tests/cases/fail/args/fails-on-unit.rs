use dataset_events::{RequestContext, dataset_event};

#[dataset_event(surface = "chat.reply", fails = |ret| None)]
fn reply(ctx: &RequestContext) {}

fn main() {}
