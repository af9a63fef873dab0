use dataset_events::{RequestContext, dataset_event};

struct Chat;

#[dataset_event(surface = "chat.reply")]
impl Chat {
    pub fn reply(&self, ctx: &RequestContext) {}
}

fn main() {}
