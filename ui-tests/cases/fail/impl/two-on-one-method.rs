use dataset_events::{RequestContext, dataset_event};

struct Chat;

#[dataset_event(engine = "chat")]
impl Chat {
    #[dataset_event(access = "read")]
    #[dataset_event(input(text))]
    pub fn reply(&self, ctx: &RequestContext, text: &str) {}
}

fn main() {}
