use dataset_events::{RequestContext, dataset_event};

#[dataset_event(surface = "chat.reply", surface = "chat.answer")]
fn reply(ctx: &RequestContext) {}

fn main() {}
