use dataset_events::{ErrorCode, RequestContext, dataset_event};
use futures::future::BoxFuture;

#[derive(ErrorCode)]
#[code("chat.failed")]
struct ChatError;

#[dataset_event(surface = "chat.reply", guarantee = "durable")]
fn reply(ctx: &RequestContext) -> BoxFuture<'static, Result<u8, ChatError>> {
    let reply = async { Ok(1) };
    Box::pin(reply)
}

fn main() {}
