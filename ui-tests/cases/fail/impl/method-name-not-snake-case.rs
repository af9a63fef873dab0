use dataset_events::{RequestContext, dataset_event};

struct Chat;

#[dataset_event(engine = "chat")]
impl Chat {
    pub fn sendReply(&self, ctx: &RequestContext) {}
}

fn main() {}
