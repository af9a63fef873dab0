use dataset_events::ErrorCode;

#[derive(ErrorCode)]
enum ChatError {
    #[code(transparent)]
    Store(std::convert::Infallible, u8),
}

fn main() {}
