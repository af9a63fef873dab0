use dataset_events::ErrorCode;

#[derive(ErrorCode)]
#[code("chat.failed")]
enum ChatError {
    #[code("chat.not_found")]
    NotFound,
}

fn main() {}
