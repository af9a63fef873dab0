use dataset_events::ErrorCode;

#[derive(ErrorCode)]
enum ChatError {
    #[code(status = 404)]
    NotFound,
}

fn main() {}
