use dataset_events::ErrorCode;

#[derive(ErrorCode)]
enum ChatError {
    #[code("NotFound")]
    NotFound,
}

fn main() {}
