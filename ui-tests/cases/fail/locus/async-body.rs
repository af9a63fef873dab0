use dataset_events::{RequestContext, dataset_event};

#[dataset_event(surface = "chat.reply")]
async fn reply(ctx: &RequestContext, text: &str) -> usize {
    text
}

fn main() {}
