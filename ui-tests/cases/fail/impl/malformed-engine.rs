use dataset_events::{RequestContext, dataset_event};

struct Chat;

#[dataset_event(engine = "Chat")]
impl Chat {
    pub fn reply(&self, ctx: &RequestContext) {}
}

fn main() {}
