use dataset_events::{RequestContext, UserId, dataset_event};

#[dataset_event(surface = "chat.reply", actor = user)]
fn reply(ctx: &RequestContext, user: &UserId) {}

fn main() {}
