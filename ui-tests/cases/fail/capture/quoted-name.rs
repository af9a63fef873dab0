use dataset_events::{RequestContext, dataset_event};

#[dataset_event(surface = "chat.reply", input("text" = text))]
fn reply(ctx: &RequestContext, text: &str) -> usize {
    text.len()
}

fn main() {}
