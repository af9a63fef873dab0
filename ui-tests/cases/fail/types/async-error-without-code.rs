use dataset_events::{RequestContext, dataset_event};

struct ChatError;

#[dataset_event(surface = "chat.reply")]
async fn reply(ctx: &RequestContext) -> Result<u8, ChatError> {
    Err(ChatError)
}

fn main() {
    drop(reply);
}
