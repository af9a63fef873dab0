use dataset_events::{ErrorCode, RequestContext, dataset_event};

#[derive(ErrorCode)]
#[code("chat.failed")]
struct ChatError;

#[dataset_event(surface = "chat.reply", guarantee = "durable")]
fn reply(ctx: &RequestContext) -> Result<u8, ChatError> {
    Ok(1)
}

fn main() {}
