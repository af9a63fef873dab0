//! The main job as a process, over documents, a root and a configuration of its own.

use std::fs;
use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use dataset_events_examples::services::SinkReport;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::Value;
use tempfile::TempDir;

/// Far more than any step takes.
const DEADLINE: Duration = Duration::from_secs(600);
/// Far more than one answer takes.
const ANSWER: Duration = Duration::from_secs(60);
/// What the job says when its work is done.
const WORKED: &str = "requests were answered";

/// Documents, a root, and a place for configuration and report.
pub(crate) struct Job {
    directory: TempDir,
}

impl Job {
    /// With so many documents and a configuration.
    pub(crate) fn new(documents: usize, config: &str) -> Self {
        let directory = tempfile::tempdir().expect("make a temporary directory");
        let job = Self { directory };
        fs::create_dir(job.path("docs")).expect("make the documents' directory");
        for number in 0..documents {
            let text = format!("Document {number} tells of ledgers: what they hold, and where it goes.\n");
            fs::write(job.path("docs").join(format!("{number:03}.md")), text.repeat(20)).expect("write");
        }
        fs::write(job.path("docs").join("picture.gif"), b"GIF89a\x40\x01\xf0\0").expect("write");
        fs::write(job.path("sinks.toml"), config).expect("write the configuration");
        job
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn ledgers(&self) -> PathBuf {
        self.path("var").join("ledgers")
    }

    /// Runs to the report; it must succeed. What it printed, and the report.
    pub(crate) fn run(&self) -> (String, Value) {
        let output = self.attempt();
        let said = String::from_utf8(output.stdout).expect("text");
        assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
        let report = fs::read(self.path("report.json")).expect("the report");
        (said, serde_json::from_slice(&report).expect("the report is JSON"))
    }

    pub(crate) fn attempt(&self) -> Output {
        let mut command = self.command();
        command.arg("--once").process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("start the main job");
        let stdout = all_of(child.stdout.take().expect("its output"));
        let stderr = all_of(child.stderr.take().expect("its messages"));
        let status = ended(&mut child);
        let text = |reader: JoinHandle<Vec<u8>>| reader.join().expect("read what the job says");
        Output { status, stdout: text(stdout), stderr: text(stderr) }
    }

    fn command(&self) -> Command {
        let mut command = program();
        command
            .args(["--files", "10000"])
            .args(["--docs".as_ref(), self.path("docs").as_os_str()])
            .args(["--root".as_ref(), self.path("var").as_os_str()])
            .args(["--config".as_ref(), self.path("sinks.toml").as_os_str()])
            .args(["--json".as_ref(), self.path("report.json").as_os_str()]);
        command
    }

    /// Starts it without `--once`, and reads who is who.
    pub(crate) fn start(&self) -> Running {
        let mut command = self.command();
        command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("start the main job");
        let said = lines(child.stdout.take().expect("its output"));
        let messages = lines(child.stderr.take().expect("its messages"));
        let mut running = Running { child, said, messages, services: Vec::new() };
        let services = line_with(&running.said, "takes requests at");
        let operators = line_with(&running.said, "For operators: ");
        let service = |name: &str| Service {
            name: name.to_owned(),
            process: between(&services, &format!("{name} (process "), ")").parse().expect("a process"),
            operations: between(&format!("{operators} "), &format!("{name} at http://"), " ")
                .trim_end_matches(',')
                .parse()
                .expect("an address"),
        };
        running.services = ["gateway", "engines"].map(service).into();
        running
    }
}

/// The program, told nothing by the environment.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_main_job"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("DATASET_EVENTS") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// Everything that comes, read on a thread of its own.
fn all_of(mut input: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        input.read_to_end(&mut bytes).expect("read what the job says");
        bytes
    })
}

/// Line by line, read on a thread of its own.
fn lines(input: impl Read + Send + 'static) -> Receiver<String> {
    let (say, said) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(input).lines() {
            let Ok(line) = line else { return };
            if say.send(line).is_err() {
                return;
            }
        }
    });
    said
}

/// Waits for a line with a text in it.
fn line_with(said: &Receiver<String>, text: &str) -> String {
    let deadline = Instant::now() + DEADLINE;
    let mut before = String::new();
    loop {
        let line = said.recv_timeout(deadline.saturating_duration_since(Instant::now()));
        let line = line.unwrap_or_else(|error| panic!("the job did not say {text:?} ({error}):\n{before}"));
        if line.contains(text) {
            return line;
        }
        before.push_str(&line);
        before.push('\n');
    }
}

/// Waits for a job; one that does not end is killed, and its services with its end of their input.
fn ended(child: &mut Child) -> ExitStatus {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(status) = child.try_wait().expect("wait for the job") {
            return status;
        }
        if Instant::now() > deadline {
            child.kill().expect("kill the job");
            child.wait().expect("wait for the job");
            panic!("the main job did not end within {} s", DEADLINE.as_secs());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let found = text.split_once(from).and_then(|(_, rest)| rest.split_once(to));
    found.unwrap_or_else(|| panic!("{from:?} is not in {text:?}")).0
}

/// A service of a job that runs.
pub(crate) struct Service {
    pub(crate) name: String,
    process: i32,
    operations: SocketAddr,
}

impl Service {
    /// SIGHUP: it reads its configuration again.
    pub(crate) fn hang_up(&self) {
        let id = Pid::from_raw(self.process).expect("a process id");
        kill_process(id, Signal::HUP).unwrap_or_else(|error| panic!("tell the {}: {error}", self.name));
    }

    /// How its sinks fare now.
    pub(crate) fn sinks(&self) -> Vec<SinkReport> {
        let url = format!("http://{}/sinks", self.operations);
        let asked = async {
            // On this machine, whatever proxy the environment names.
            let client = reqwest::Client::builder().no_proxy().timeout(ANSWER).build().expect("a client");
            let answer = client.get(url).send().await.expect("the operations address answers");
            answer.json().await.expect("the state of the sinks")
        };
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(asked)
    }
}

/// A job that runs, with its services. Dropped, it is killed with them.
pub(crate) struct Running {
    child: Child,
    said: Receiver<String>,
    messages: Receiver<String>,
    pub(crate) services: Vec<Service>,
}

impl Running {
    /// Waits for a message, of the job or of a service, with a text in it.
    pub(crate) fn message_with(&self, text: &str) -> String {
        line_with(&self.messages, text)
    }

    /// Waits until the job has said that its work is done and its report stands.
    pub(crate) fn until_reported(&self) {
        line_with(&self.said, "The services go on until Ctrl-C");
    }

    /// Whether it has not said yet that its work is done.
    pub(crate) fn is_at_work(&mut self) -> bool {
        let is_alive = matches!(self.child.try_wait(), Ok(None));
        is_alive && !self.said.try_iter().any(|line| line.contains(WORKED))
    }

    /// Ctrl-C, and how it ended.
    pub(crate) fn end(mut self) -> ExitStatus {
        kill_process(Pid::from_child(&self.child), Signal::INT).expect("interrupt the job");
        ended(&mut self.child)
    }

    /// SIGKILL to the services and the job, each of which leads a process group; returns when none is left.
    pub(crate) fn kill(mut self) {
        self.kill_all().expect("kill the job and its services");
        // Its end comes when the last of them is gone: all of them write there.
        let deadline = Instant::now() + DEADLINE;
        loop {
            match self.messages.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => panic!("not all of them ended"),
            }
        }
    }

    /// A service may be gone before its turn: the job ends it when it finds the other one dead.
    fn kill_all(&mut self) -> Result<(), Errno> {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return Ok(());
        }
        for service in &self.services {
            let id = Pid::from_raw(service.process).ok_or(Errno::SRCH)?;
            match kill_process_group(id, Signal::KILL) {
                Ok(()) | Err(Errno::SRCH) => {}
                Err(error) => return Err(error),
            }
        }
        // It is no zombie's id of another: it was not waited for yet.
        kill_process(Pid::from_child(&self.child), Signal::KILL)?;
        let _ = self.child.wait();
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // What failed before is told already.
        let _ = self.kill_all();
    }
}

/// Copies a directory with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap_or_else(|error| panic!("make {}: {error}", to.display()));
    for entry in fs::read_dir(from).unwrap_or_else(|error| panic!("list {}: {error}", from.display())) {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target)
                .unwrap_or_else(|error| panic!("copy {}: {error}", target.display()));
        }
    }
}
