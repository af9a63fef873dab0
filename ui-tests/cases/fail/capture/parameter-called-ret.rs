use dataset_events::{RequestContext, dataset_event};

#[dataset_event(surface = "chat.reply", output(size = ret))]
fn reply(ctx: &RequestContext, ret: u8) -> u8 {
    ret
}

fn main() {}
