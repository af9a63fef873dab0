use dataset_events::{RequestContext, dataset_event};

#[dataset_event(surface = "chat.reply", cannot_fail = "a constant", error_code = "chat.failed")]
fn reply(ctx: &RequestContext) -> Result<u32, std::fmt::Error> {
    Ok(1)
}

fn main() {}
