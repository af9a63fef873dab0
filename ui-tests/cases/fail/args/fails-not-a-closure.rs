use dataset_events::{RequestContext, dataset_event};

#[dataset_event(surface = "chat.reply", fails = 7)]
fn reply(ctx: &RequestContext) -> u8 {
    1
}

fn main() {}
