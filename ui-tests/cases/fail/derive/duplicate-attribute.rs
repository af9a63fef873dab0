use dataset_events::ErrorCode;

#[derive(ErrorCode)]
enum ChatError {
    #[code("chat.not_found")]
    #[code("chat.missing")]
    NotFound,
}

fn main() {}
