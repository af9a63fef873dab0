use dataset_events::{RequestContext, dataset_event};

#[dataset_event(surface = "chat.reply", input(size = text.size()))]
fn reply(ctx: &RequestContext, text: &str) {
    text.shout();
}

fn main() {}
