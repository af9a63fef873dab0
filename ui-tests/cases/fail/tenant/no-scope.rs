use dataset_events::dataset_event;

#[dataset_event(surface = "chat.reply")]
fn reply(text: &str) -> usize {
    text.len()
}

fn main() {
    // No second error: the function is still there.
    reply("text");
}
