use dataset_events::{RequestContext, dataset_event};

trait Chat {
    #[dataset_event(surface = "chat.reply")]
    fn reply(&self, ctx: &RequestContext);
}

fn main() {}
