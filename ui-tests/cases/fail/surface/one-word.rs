use dataset_events::{RequestContext, dataset_event};

#[dataset_event(surface = "reply")]
fn reply(ctx: &RequestContext) {}

fn main() {}
