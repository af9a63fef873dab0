use dataset_events::{RequestContext, dataset_event};

type Reply = std::pin::Pin<Box<dyn Future<Output = u8>>>;

#[dataset_event(surface = "chat.reply")]
fn reply(ctx: &RequestContext) -> Reply {
    Box::pin(async { 1 })
}

fn main() {}
