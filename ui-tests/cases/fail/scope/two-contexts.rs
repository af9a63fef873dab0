use dataset_events::{RequestContext, dataset_event};

#[dataset_event(surface = "chat.move")]
fn forward(from: &RequestContext, to: &RequestContext) {}

fn main() {}
