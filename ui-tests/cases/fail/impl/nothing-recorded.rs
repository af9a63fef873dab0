use dataset_events::{RequestContext, dataset_event};

struct Chat;

#[dataset_event(engine = "chat")]
impl Chat {
    fn reply(&self, ctx: &RequestContext) {}
}

fn main() {}
