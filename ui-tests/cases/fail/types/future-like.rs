use dataset_events::{RequestContext, dataset_event};

#[dataset_event(surface = "chat.reply")]
fn reply(ctx: &RequestContext) -> impl IntoFuture<Output = u8> {
    std::future::ready(1)
}

fn main() {}
