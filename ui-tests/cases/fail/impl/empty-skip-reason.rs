use dataset_events::{RequestContext, dataset_event};

struct Chat;

#[dataset_event(engine = "chat")]
impl Chat {
    pub fn reply(&self, ctx: &RequestContext) {}

    #[dataset_event(skip = "")]
    pub fn size(&self) {}
}

fn main() {}
