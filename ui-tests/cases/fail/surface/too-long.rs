use dataset_events::{RequestContext, dataset_event};

#[dataset_event(surface = "chat.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")]
fn reply(ctx: &RequestContext) {}

fn main() {}
