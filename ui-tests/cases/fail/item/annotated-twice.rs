use dataset_events::{RequestContext, dataset_event};

#[dataset_event(surface = "chat.reply")]
#[dataset_event(surface = "chat.answer")]
fn reply(ctx: &RequestContext) {}

fn main() {}
