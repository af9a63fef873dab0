use dataset_events::dataset_event;

#[dataset_event(surface = "chat.reply")]
struct Reply {
    text: String,
}

fn main() {
    let _ = Reply { text: String::new() };
}
