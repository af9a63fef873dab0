use dataset_events::{RequestContext, dataset_event};

struct Chat;

macro_rules! more {
    () => {
        pub fn more(&self) {}
    };
}

#[dataset_event(engine = "chat")]
impl Chat {
    pub fn reply(&self, ctx: &RequestContext) {}

    more!();
}

fn main() {}
