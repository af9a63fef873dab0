use dataset_events::{RequestContext, dataset_event};

#[dataset_event(surface = "chat.reply")]
fn reply(ctx: &RequestContext) -> Option<Result<u8, String>> {
    None
}

fn main() {}
