use dataset_events::dataset_event;

struct Chat {
    ctx: dataset_events::RequestContext,
}

#[dataset_event(engine = "chat", ctx = self.ctx)]
impl Chat {
    pub fn reply(&self) {}

    pub fn new(ctx: dataset_events::RequestContext) -> u8 {
        1
    }

    pub fn open() -> u8 {
        1
    }
}

fn main() {}
