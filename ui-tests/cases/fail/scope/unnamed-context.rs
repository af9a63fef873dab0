use dataset_events::{RequestContext, dataset_event};

#[dataset_event(surface = "chat.reply")]
fn reply(_: &RequestContext, text: &str) {}

fn main() {}
