use dataset_events::ErrorCode;

#[derive(ErrorCode)]
union ChatError {
    code: u8,
}

fn main() {}
