use dataset_events::{RequestContext, dataset_event};

#[dataset_event(surface = "chat.reply", output(size = text.len()))]
async fn reply(ctx: &RequestContext, text: String) -> usize {
    text.len()
}

fn main() {}
