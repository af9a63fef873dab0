//! A process that reports what its calls do, until it ends or is killed.
//!
//! Between a call's return and the report of it the process may die. So it reports twice: from inside the
//! body that it began, and behind the call that it returned. What the log must hold follows from the two.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use dataset_events::EventId;

/// What a process says on its stdout, a line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// The ledger is open.
    Opened,
    /// A body began: the event's id, and the call's guarantee.
    Began(String, String),
    /// A call returned: the event's id, and the outcome that its event must have.
    Returned(String, String),
    /// Anything else that a helper has to say.
    Else(String),
}

impl Said {
    fn parse(line: &str) -> Self {
        let mut words = line.split(' ');
        let mut word = || words.next().unwrap_or_default().to_owned();
        match &*word() {
            "opened" => Self::Opened,
            "began" => Self::Began(word(), word()),
            "returned" => Self::Returned(word(), word()),
            _ => Self::Else(line.to_owned()),
        }
    }
}

/// One line in one `write`, so that lines of several threads do not mix and none is left in a buffer.
fn say(line: &str) {
    // A parent that is gone hears nothing; the child is about to be gone too.
    let _ = std::io::stdout().lock().write_all(line.as_bytes());
}

/// Says that the ledger is open.
pub fn say_opened() {
    say("opened\n");
}

/// Says that the body of the current call began; returns the id of its event.
///
/// # Panics
///
/// Outside of a call.
pub fn say_began(guarantee: &str) -> EventId {
    let event_id = dataset_events::current().event_id().expect("said from inside a body");
    say(&format!("began {event_id} {guarantee}\n"));
    event_id
}

/// Says that a call returned.
pub fn say_returned(event_id: EventId, outcome: &str) {
    say(&format!("returned {event_id} {outcome}\n"));
}

/// Says something else.
pub fn say_else(text: &str) {
    say(&format!("{text}\n"));
}

/// A running child.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: Option<BufReader<ChildStdout>>,
}

impl Running {
    /// Starts a command whose stdout is read.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> Self {
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("start {command:?}: {error}"));
        let stdout = child.stdout.take().map(BufReader::new);
        Self { child, stdout }
    }

    /// Reads what it says on a thread of its own; the channel closes with its stdout.
    ///
    /// # Panics
    ///
    /// When it is listened to already.
    pub fn listen(&mut self) -> Receiver<Said> {
        let stdout = self.stdout.take().expect("listened to once");
        let (to_parent, said) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines() {
                // A kill can cut the last line short; the rest of it was never said.
                let Ok(line) = line else { break };
                if to_parent.send(Said::parse(&line)).is_err() {
                    break;
                }
            }
        });
        said
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Tells it something: a line on its stdin.
    ///
    /// # Panics
    ///
    /// When it does not hear.
    pub fn tell(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().expect("its stdin is open");
        writeln!(stdin, "{line}").expect("write to the child");
    }

    /// SIGKILL, and waits until it is gone: its locks are free then.
    ///
    /// # Panics
    ///
    /// When it cannot be killed or waited for.
    pub fn kill(mut self) {
        self.child.kill().expect("kill the child");
        self.child.wait().expect("wait for the child");
    }

    /// Closes its stdin, which tells a helper to go on or to end.
    pub fn close_stdin(&mut self) {
        drop(self.child.stdin.take());
    }

    /// SIGKILL to a child that is listened to no more, should it live.
    fn reap(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits until it ends by itself.
    ///
    /// # Panics
    ///
    /// When it did not end well.
    pub fn finish(mut self) {
        self.close_stdin();
        let status = self.child.wait().expect("wait for the child");
        assert!(status.success(), "the child ended with {status}");
    }
}

/// A test that fails leaves no process behind.
impl Drop for Running {
    fn drop(&mut self) {
        self.reap();
    }
}

/// What processes said of their calls.
#[derive(Debug, Default)]
pub struct Oracle {
    /// Calls whose body began, with their guarantee.
    pub began: HashMap<String, String>,
    /// Calls that returned, with the outcome that their event must have.
    pub returned: HashMap<String, String>,
}

impl Oracle {
    /// Takes one report.
    pub fn hear(&mut self, said: Said) {
        match said {
            Said::Began(event_id, guarantee) => {
                self.began.insert(event_id, guarantee);
            }
            Said::Returned(event_id, outcome) => {
                self.returned.insert(event_id, outcome);
            }
            Said::Opened | Said::Else(_) => {}
        }
    }

    /// Checks a log against what was said.
    ///
    /// # Panics
    ///
    /// When an event is missing, has another outcome than its call, or belongs to no call.
    pub fn check(&self, log: &crate::log::Log, surfaces: &str) {
        let events: HashMap<&str, &crate::log::Line> =
            log.events_of(surfaces).map(|line| (&*line.event_id, line)).collect();
        for (event_id, outcome) in &self.returned {
            match events.get(&**event_id) {
                Some(event) => assert_eq!(&event.outcome, outcome, "returned: {}", event.text),
                None => panic!("the event of a call that returned {outcome} is missing: {event_id}"),
            }
        }
        for (event_id, guarantee) in &self.began {
            let is_there = events.contains_key(&**event_id);
            assert!(
                is_there || guarantee == "recorded",
                "a {guarantee} call that began is missing: {event_id}"
            );
        }
        for event in events.values() {
            // Before its body began a call can only have left its attempt.
            let is_known = self.began.contains_key(&event.event_id) || event.outcome == "interrupted";
            assert!(is_known, "the event of no call: {}", event.text);
        }
    }
}
