use dataset_events::{RequestContext, dataset_event};

#[dataset_event(surface = "chat.reply")]
fn reply(#[cfg(all())] ctx: &RequestContext) {}

fn main() {}
