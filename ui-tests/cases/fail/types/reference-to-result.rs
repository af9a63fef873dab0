use dataset_events::{RequestContext, dataset_event};

#[dataset_event(surface = "chat.reply")]
fn reply<'a>(ctx: &RequestContext, last: &'a Result<u8, String>) -> &'a Result<u8, String> {
    last
}

fn main() {}
