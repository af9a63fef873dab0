use dataset_events::ErrorCode;

#[derive(ErrorCode)]
struct ChatError;

fn main() {}
