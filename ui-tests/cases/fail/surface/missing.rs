use dataset_events::{RequestContext, dataset_event};

#[dataset_event]
fn reply(ctx: &RequestContext) {}

fn main() {}
