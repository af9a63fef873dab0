use dataset_events::dataset_event as audited;
use dataset_events::{RequestContext, dataset_event};

struct Chat;

#[dataset_event(engine = "chat")]
impl Chat {
    #[audited(surface = "chat.answer")]
    pub fn reply(&self, ctx: &RequestContext) {}
}

fn main() {}
