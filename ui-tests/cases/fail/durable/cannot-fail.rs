use dataset_events::{LedgerUnavailable, RequestContext, dataset_event};

#[dataset_event(surface = "chat.reply", guarantee = "durable", cannot_fail = "a constant")]
fn reply(ctx: &RequestContext) -> Result<u32, LedgerUnavailable> {
    Ok(1)
}

fn main() {}
