use dataset_events::{RequestContext, dataset_event};

struct Chat;

#[dataset_event(engine = "chat")]
impl Chat {
    pub async fn reply(&self, ctx: &RequestContext) -> u8 {
        "reply"
    }
}

fn main() {}
