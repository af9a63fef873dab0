use dataset_events::ErrorCode;

#[derive(ErrorCode)]
enum ChatError {
    #[code("chat.not_found", status = 200)]
    NotFound,
}

fn main() {}
