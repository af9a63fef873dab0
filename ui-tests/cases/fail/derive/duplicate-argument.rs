use dataset_events::ErrorCode;

#[derive(ErrorCode)]
enum ChatError {
    #[code("chat.not_found", denied, denied)]
    NotFound,
}

fn main() {}
