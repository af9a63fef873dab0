//! The main job, and the services that it starts.

use std::process::ExitCode;

fn main() -> ExitCode {
    dataset_events_examples::job::main()
}
