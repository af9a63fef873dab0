use dataset_events::{RequestContext, dataset_event};

struct Chat;

#[dataset_event(engine = "chat")]
impl Chat {
    pub fn reply(&self, ctx: &RequestContext) {}

    pub fn new() -> Self {
        Chat
    }
}

fn main() {}
