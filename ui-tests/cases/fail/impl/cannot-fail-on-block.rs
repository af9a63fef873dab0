use dataset_events::{RequestContext, dataset_event};

struct Chat;

#[dataset_event(engine = "chat", cannot_fail = "constants")]
impl Chat {
    pub fn reply(&self, ctx: &RequestContext) {}
}

fn main() {}
