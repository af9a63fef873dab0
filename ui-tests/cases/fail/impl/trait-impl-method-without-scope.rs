use dataset_events::dataset_event;

struct Chat;

#[dataset_event(engine = "chat")]
impl std::fmt::Display for Chat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Ok(())
    }
}

fn main() {}
