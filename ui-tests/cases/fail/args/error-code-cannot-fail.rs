use dataset_events::{RequestContext, dataset_event};

#[dataset_event(surface = "chat.reply", error_code = "chat.failed")]
fn reply(ctx: &RequestContext) {}

fn main() {}
