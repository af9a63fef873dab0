use dataset_events::{RequestContext, dataset_event};

struct ChatError;

fn code_of(error: &std::io::Error) -> dataset_events::Code {
    dataset_events::Code::new("chat.failed")
}

#[dataset_event(surface = "chat.reply", error_code = code_of)]
fn reply(ctx: &RequestContext) -> Result<u8, ChatError> {
    Err(ChatError)
}

fn main() {}
