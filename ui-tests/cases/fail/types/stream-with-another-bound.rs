use dataset_events::{RequestContext, dataset_event};
use futures::Stream;

#[dataset_event(surface = "chat.stream")]
fn stream(ctx: &RequestContext) -> impl Stream<Item = u8> + Clone {
    futures::stream::empty()
}

fn main() {}
