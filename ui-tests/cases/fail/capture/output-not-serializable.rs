use dataset_events::{RequestContext, dataset_event};

struct Body;

#[dataset_event(surface = "chat.reply", output(body = ret))]
async fn reply(ctx: &RequestContext) -> Body {
    Body
}

fn main() {}
