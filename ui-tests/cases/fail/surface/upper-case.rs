use dataset_events::{RequestContext, dataset_event};

#[dataset_event(surface = "Chat.sendReply")]
fn reply(ctx: &RequestContext) {}

fn main() {}
