use dataset_events::{RequestContext, dataset_event};

const SURFACE: &str = "chat.reply";

#[dataset_event(surface = SURFACE)]
fn reply(ctx: &RequestContext) {}

fn main() {}
