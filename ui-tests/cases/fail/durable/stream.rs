use dataset_events::{RequestContext, dataset_event};
use futures::Stream;

#[dataset_event(surface = "chat.stream", guarantee = "durable")]
fn stream(ctx: &RequestContext) -> impl Stream<Item = u8> {
    futures::stream::empty()
}

fn main() {}
