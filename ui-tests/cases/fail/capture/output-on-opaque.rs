use dataset_events::{RequestContext, dataset_event};

#[dataset_event(surface = "chat.words", output(first = 1))]
fn words(ctx: &RequestContext) -> impl Iterator<Item = u8> {
    0..9
}

fn main() {}
