//! The two services as processes of their own: started, listened to, ended.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use crate::services::{Ended, Start, Started};
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// How long a service may take to open its ledger and listen. Recovery after a kill is part of it.
const START_DEADLINE: Duration = Duration::from_secs(60);
/// How long a service may take to end: 30 s for what is in flight, 30 s to drain, and some to close its connections
/// and to say so. Killed earlier, it would leave events for the next start to recover.
const END_DEADLINE: Duration = Duration::from_secs(70);

/// A service could not be started or ended.
#[derive(Debug, Error)]
pub(crate) enum ProcessError {
    #[error("start the {name} service")]
    Spawn {
        name: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("talk to the {name} service")]
    Talk {
        name: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("the {name} service ended without a word ({status}); its messages stand above")]
    Died { name: &'static str, status: ExitStatus },
    #[error("the {name} service said {line:?}, which is no message of it")]
    Garbled { name: &'static str, line: String },
    #[error("the {name} service did not {what} within {} s", deadline.as_secs())]
    Late { name: &'static str, what: &'static str, deadline: Duration },
}

/// A running service.
///
/// It ends when its standard input does: also when this process is killed, so that none is left behind.
#[derive(Debug)]
pub(crate) struct Service {
    name: &'static str,
    child: Child,
    /// Held open: the service lives as long as this.
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
    started: Started,
}

impl Service {
    /// Starts this program once more as a service, and waits until it takes requests.
    pub(crate) async fn start(start: &Start) -> Result<Self, ProcessError> {
        let name = match start {
            Start::Engines(_) => "engines",
            Start::Gateway(_) => "gateway",
        };
        let spawn = |source| ProcessError::Spawn { name, source };
        let talk = |source| ProcessError::Talk { name, source };
        let mut command = Command::new(std::env::current_exe().map_err(spawn)?);
        command.arg("serve").stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        // A group of its own: Ctrl-C reaches this process, which then ends its services in order.
        command.process_group(0);
        let mut child = command.spawn().map_err(spawn)?;
        let closed = || spawn(io::Error::other("its standard input and output are not connected"));
        let mut input = child.stdin.take().ok_or_else(closed)?;
        let output = BufReader::new(child.stdout.take().ok_or_else(closed)?).lines();
        let mut line = serde_json::to_vec(start).map_err(|error| talk(error.into()))?;
        line.push(b'\n');
        input.write_all(&line).await.map_err(talk)?;
        let mut starting = Starting { name, child, output };
        let started = starting.says("start", START_DEADLINE).await?;
        let Starting { child, output, .. } = starting;
        Ok(Self { name, child, input: Some(input), output, started })
    }

    /// What it said when it took requests.
    pub(crate) fn started(&self) -> &Started {
        &self.started
    }

    /// The number of its process; 0 once it is known to have ended.
    pub(crate) fn process_id(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    /// Whether it has ended.
    pub(crate) fn is_gone(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// Its base address.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.started.listening)
    }

    /// Lets it answer what is in flight, drain its ledger and end.
    pub(crate) async fn end(mut self) -> Result<Ended, ProcessError> {
        drop(self.input.take());
        let mut ending = Starting { name: self.name, child: self.child, output: self.output };
        let ended = ending.says("end", END_DEADLINE).await?;
        let status = tokio::time::timeout(END_DEADLINE, ending.child.wait()).await;
        match status {
            Ok(Ok(status)) if status.success() => Ok(ended),
            Ok(Ok(status)) => Err(ProcessError::Died { name: self.name, status }),
            Ok(Err(source)) => Err(ProcessError::Talk { name: self.name, source }),
            Err(_) => Err(ProcessError::Late { name: self.name, what: "exit", deadline: END_DEADLINE }),
        }
    }

    /// Waits until it ends by itself, which it should not.
    pub(crate) async fn died(&mut self) -> ProcessError {
        match self.child.wait().await {
            Ok(status) => ProcessError::Died { name: self.name, status },
            Err(source) => ProcessError::Talk { name: self.name, source },
        }
    }
}

/// A service that is to say something.
struct Starting {
    name: &'static str,
    child: Child,
    output: Lines<BufReader<ChildStdout>>,
}

impl Starting {
    async fn says<T: DeserializeOwned>(
        &mut self,
        what: &'static str,
        deadline: Duration,
    ) -> Result<T, ProcessError> {
        let name = self.name;
        let talk = |source| ProcessError::Talk { name, source };
        let line = tokio::time::timeout(deadline, self.output.next_line()).await;
        let line = line.map_err(|_| ProcessError::Late { name, what, deadline })?.map_err(talk)?;
        let Some(line) = line else {
            let status = self.child.wait().await.map_err(talk)?;
            return Err(ProcessError::Died { name, status });
        };
        serde_json::from_str(&line).map_err(|_| ProcessError::Garbled { name, line })
    }
}
