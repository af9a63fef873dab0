use dataset_events::{RequestContext, dataset_event};

#[dataset_event(surface = "chat.reply")]
fn reply(ctx: &RequestContext, text: &str) -> usize {
    let size: u8 = text;
    text.len()
}

fn main() {}
