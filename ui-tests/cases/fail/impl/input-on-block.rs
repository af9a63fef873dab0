use dataset_events::{RequestContext, dataset_event};

struct Chat;

#[dataset_event(engine = "chat", input(text))]
impl Chat {
    pub fn reply(&self, ctx: &RequestContext, text: &str) {}
}

fn main() {}
