use dataset_events::{RequestContext, dataset_event};

#[dataset_event(surface = "")]
fn reply(ctx: &RequestContext) {}

fn main() {}
