use dataset_events::{RequestContext, dataset_event};

#[dataset_event(surface = "chat.reply", input(text), input(text))]
fn reply(ctx: &RequestContext, text: &str) {}

fn main() {}
