use dataset_events::{RequestContext, dataset_event};

#[dataset_event(surface = "chat.reply", input(size = format!("{}", text.parse::<u8>()?)))]
fn reply(ctx: &RequestContext, text: &str) -> usize {
    text.len()
}

fn main() {}
