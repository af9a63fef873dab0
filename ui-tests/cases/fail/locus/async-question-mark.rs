use dataset_events::{RequestContext, dataset_event};

#[dataset_event(surface = "chat.reply", error_code = "chat.failed")]
async fn reply(ctx: &RequestContext, text: &str) -> Result<u8, String> {
    let size: u8 = text.parse::<u8>()?;
    Ok(size)
}

fn main() {}
