use dataset_events::{Env, dataset_event};

#[dataset_event(surface = "chat.reply")]
fn reply(env: &Env, text: &str) {}

fn main() {}
