use dataset_events::{Env, dataset_event};

const ENV: Env = Env::from_static("prod");

#[dataset_event(surface = "chat.reply", tenant = "acme", env = ENV)]
fn reply() {}

fn main() {}
