use dataset_events::ErrorCode;

#[derive(ErrorCode)]
enum ChatError {
    #[code(transparent)]
    Store(std::io::Error),
}

fn main() {}
