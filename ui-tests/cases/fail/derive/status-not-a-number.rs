use dataset_events::ErrorCode;

#[derive(ErrorCode)]
enum ChatError {
    #[code("chat.not_found", status = "404")]
    NotFound,
}

fn main() {}
