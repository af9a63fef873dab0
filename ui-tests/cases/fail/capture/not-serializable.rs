use dataset_events::{RequestContext, dataset_event};

struct Body;

#[dataset_event(surface = "chat.reply", input(body))]
fn reply(ctx: &RequestContext, body: &Body) {}

fn main() {}
