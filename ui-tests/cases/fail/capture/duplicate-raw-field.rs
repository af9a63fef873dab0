use dataset_events::{RequestContext, dataset_event};

#[dataset_event(surface = "chat.reply", input(r#type, type = 1))]
fn reply(ctx: &RequestContext, r#type: u8) {}

fn main() {}
