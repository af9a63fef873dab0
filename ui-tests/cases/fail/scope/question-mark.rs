use dataset_events::dataset_event;

struct Session;

#[dataset_event(surface = "chat.reply", ctx = session.ctx()?)]
fn reply(session: &Session) -> Option<u8> {
    Some(1)
}

fn main() {}
