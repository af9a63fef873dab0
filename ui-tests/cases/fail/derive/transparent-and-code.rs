use dataset_events::ErrorCode;

#[derive(ErrorCode)]
enum ChatError {
    #[code("chat.store", transparent)]
    Store(std::convert::Infallible),
}

fn main() {}
