use dataset_events::{RequestContext, dataset_event};

type Replies = futures::stream::Empty<u8>;

#[dataset_event(surface = "chat.reply", error_code = "chat.failed")]
async fn reply(ctx: &RequestContext) -> Result<Replies, String> {
    Ok(futures::stream::empty())
}

fn main() {}
