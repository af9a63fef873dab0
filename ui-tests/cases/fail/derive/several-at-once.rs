use dataset_events::ErrorCode;

#[derive(ErrorCode)]
enum ChatError {
    #[code("NotFound")]
    NotFound,
    Blocked,
    #[code("chat.slow", status = 42)]
    Slow,
}

fn main() {}
