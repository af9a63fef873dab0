use dataset_events::{RequestContext, dataset_event};

async fn size() -> u8 {
    1
}

#[dataset_event(surface = "chat.reply", input(size = size().await))]
async fn reply(ctx: &RequestContext) {}

fn main() {}
