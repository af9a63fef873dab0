use dataset_events::{RequestContext, dataset_event};

#[dataset_event(surface = "chat.reply", error_code = |error| error.code())]
fn reply(ctx: &RequestContext) -> Result<u8, String> {
    Ok(1)
}

fn main() {}
