use dataset_events::dataset_event;

#[dataset_event(engine = "chat")]
trait Chat {
    fn reply(&self);
}

fn main() {}
