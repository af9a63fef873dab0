//! The services as processes of their own, as the main job starts them.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use dataset_events_examples::services::{Ended, Start, Started};

/// A service that runs; it ends with its standard input.
pub(crate) struct Service {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    pub(crate) started: Started,
}

impl Service {
    /// Starts it and waits until it takes requests.
    pub(crate) fn start(start: &Start) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dataset-events-examples"));
        command.arg("serve").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("start a service");
        let mut input = child.stdin.take().expect("its input");
        let mut output = BufReader::new(child.stdout.take().expect("its output"));
        let instructions = serde_json::to_string(start).expect("JSON");
        writeln!(input, "{instructions}").expect("instruct the service");
        let started = said(&mut output);
        Self { child, input: Some(input), output, started }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.started.listening)
    }

    /// Ends it in order.
    pub(crate) fn end(mut self) -> Ended {
        drop(self.input.take());
        let ended = said(&mut self.output);
        let status = self.child.wait().expect("the service's status");
        assert!(status.success(), "{status}");
        ended
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("kill the service");
        let status = self.child.wait().expect("the service's status");
        assert!(!status.success(), "{status}");
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Also when the test fails, so that no service is left behind; one that has ended is not there to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn said<T: serde::de::DeserializeOwned>(output: &mut BufReader<ChildStdout>) -> T {
    let mut line = String::new();
    output.read_line(&mut line).expect("what the service says");
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("the service said {line:?}: {error}"))
}
