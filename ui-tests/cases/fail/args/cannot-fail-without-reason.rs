use dataset_events::{RequestContext, dataset_event};

#[dataset_event(surface = "chat.reply", cannot_fail = " ")]
fn reply(ctx: &RequestContext) {}

fn main() {}
