use dataset_events::{RequestContext, dataset_event};

struct Chat;

#[dataset_event(engine = "chat")]
impl Chat {
    #[cfg_attr(all(), dataset_event(skip = "reason"))]
    pub fn reply(&self, ctx: &RequestContext) {}
}

fn main() {}
