use dataset_events::{RequestContext, dataset_event};

const REASON: &str = "a constant";

#[dataset_event(surface = "chat.reply", cannot_fail = REASON)]
fn reply(ctx: &RequestContext) {}

fn main() {}
