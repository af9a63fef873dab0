use dataset_events::dataset_event;

struct Request;

#[dataset_event(surface = "chat.reply")]
fn reply(ctx: &Request, context: &Request) {}

fn main() {}
