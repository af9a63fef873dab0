use dataset_events::dataset_event;

#[dataset_event(surface = "chat.reply")]
mod chat {}

fn main() {}
