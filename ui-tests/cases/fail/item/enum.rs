use dataset_events::dataset_event;

#[dataset_event(surface = "chat.reply")]
pub(crate) enum Reply {
    Sent,
}

fn main() {
    let _ = Reply::Sent;
}
