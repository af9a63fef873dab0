use dataset_events::ErrorCode;

#[derive(ErrorCode)]
enum ChatError {
    #[code(transparent, status = 404)]
    Store(std::convert::Infallible),
}

fn main() {}
