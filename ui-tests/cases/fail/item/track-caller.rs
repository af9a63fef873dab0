use dataset_events::{RequestContext, dataset_event};

#[dataset_event(surface = "chat.reply")]
#[track_caller]
fn reply(ctx: &RequestContext) {}

fn main() {}
