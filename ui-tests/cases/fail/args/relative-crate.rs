use dataset_events::{RequestContext, dataset_event};

#[dataset_event(surface = "chat.reply", crate = reexport::dataset_events)]
fn reply(ctx: &RequestContext) {}

fn main() {}
