use dataset_events::{RequestContext, dataset_event};
use std::task::Poll;

#[dataset_event(surface = "chat.reply")]
fn reply(ctx: &RequestContext) -> Poll<Result<u8, String>> {
    Poll::Pending
}

fn main() {}
