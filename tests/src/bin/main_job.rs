//! The main job with every sink that forwards elsewhere built in, which its own program has only when asked for.

use std::process::ExitCode;

fn main() -> ExitCode {
    dataset_events_examples::job::main()
}
