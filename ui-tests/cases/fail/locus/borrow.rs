use dataset_events::{RequestContext, dataset_event};

#[dataset_event(surface = "chat.reply", output(text))]
fn reply(ctx: &RequestContext, text: String) -> usize {
    drop(text);
    1
}

fn main() {}
