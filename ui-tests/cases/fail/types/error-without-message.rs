use dataset_events::{RequestContext, dataset_event};

struct ChatError;

#[dataset_event(surface = "chat.reply", error_code = "chat.failed", error_message)]
fn reply(ctx: &RequestContext) -> Result<u8, ChatError> {
    Err(ChatError)
}

fn main() {}
