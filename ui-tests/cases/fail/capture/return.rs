use dataset_events::{RequestContext, dataset_event};

#[dataset_event(surface = "chat.reply", output(size = if *ret > 9 { return 7 } else { 1 }))]
fn reply(ctx: &RequestContext, text: &str) -> usize {
    text.len()
}

fn main() {}
