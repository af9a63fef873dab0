//! The main job as a process, over documents and a root of its own.

use std::fs;
use std::io::{BufRead as _, BufReader, Read};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use dataset_events::{DatasetEvent, LedgerReader, VerifyOptions, verify};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::Value;
use tempfile::TempDir;

/// What no line of a log may hold: it stands in a document and in its name.
pub(crate) const CANARY: &str = "Zanzibar-canary-4711";
/// Set for a job and so for the services that it starts; its value is the job's own.
const MARK: &str = "DATASET_EVENTS_TEST_OF_JOB";
/// Far more than any step takes.
const DEADLINE: Duration = Duration::from_secs(900);

/// Documents, a root and a place for the report.
pub(crate) struct Job {
    directory: TempDir,
}

impl Job {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("make a temporary directory");
        let docs = directory.path().join("docs");
        fs::create_dir_all(&docs).expect("make the documents' directory");
        for number in 0..12 {
            let text =
                format!("Document {number} about ledgers. A ledger holds events of document {number}.\n");
            fs::write(docs.join(format!("{number:02}.md")), text.repeat(1 + number * 30)).expect("write");
        }
        let text = format!("{CANARY} is what users write about. Nobody but users reads it.");
        fs::write(docs.join(format!("{CANARY}.txt")), text).expect("write");
        fs::write(docs.join("empty.txt"), "").expect("write");
        fs::write(docs.join("picture.gif"), b"GIF89a\x40\x01\xf0\0").expect("write");
        fs::write(docs.join("large.txt"), "A long line about ledgers and events.\n".repeat(1_000))
            .expect("write");
        Self { directory }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Runs to the report; it must succeed.
    pub(crate) fn run(&self) -> (Output, Value) {
        self.ran(self.attempt())
    }

    /// As [`run`](Self::run), with a configuration.
    pub(crate) fn run_configured(&self, config: &Path) -> (Output, Value) {
        self.ran(self.attempt_configured(config))
    }

    fn ran(&self, output: Output) -> (Output, Value) {
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}");
        self.assert_rebuilt();
        (output, self.report())
    }

    /// The report that was written as JSON.
    pub(crate) fn report(&self) -> Value {
        let report = fs::read(self.path("report.json")).expect("the report");
        serde_json::from_slice(&report).expect("the report is JSON")
    }

    /// Runs with `--once`, whatever comes of it.
    pub(crate) fn attempt(&self) -> Output {
        self.command().arg("--once").output().expect("run the main job")
    }

    /// As [`attempt`](Self::attempt), with a configuration.
    pub(crate) fn attempt_configured(&self, config: &Path) -> Output {
        self.command().arg("--once").arg("--config").arg(config).output().expect("run the main job")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dataset-events-examples"));
        command
            .args(["--docs".as_ref(), self.path("docs").as_os_str()])
            .args(["--root".as_ref(), self.path("var").as_os_str()])
            .args(["--json".as_ref(), self.path("report.json").as_os_str()])
            .env(MARK, self.mark())
            // For the way out of the machine: none of its processes takes it.
            .envs(["HTTP_PROXY", "http_proxy", "ALL_PROXY"].map(|name| (name, "http://proxy.invalid:1")))
            .env_remove("NO_PROXY")
            .env_remove("no_proxy")
            .stdin(Stdio::null());
        command
    }

    fn mark(&self) -> &str {
        self.directory.path().to_str().expect("a path of text")
    }

    /// Starts it without `--once`, as the leader of a process group, as a shell does.
    pub(crate) fn start(&self) -> Running {
        let mut command = self.command();
        command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("start the main job");
        let (says, lines) = channel();
        listen(child.stdout.take().expect("its output"), false, says.clone());
        listen(child.stderr.take().expect("its messages"), true, says);
        Running { child, lines, output: String::new(), messages: String::new() }
    }

    /// The command lines of the job's processes that are there now.
    pub(crate) fn processes(&self) -> Vec<String> {
        let marked = format!("{MARK}={}", self.mark());
        let all = fs::read_dir("/proc").expect("the processes").filter_map(Result::ok);
        // A process that is gone meanwhile, or is not ours, cannot be read.
        let ours = all.filter(|entry| {
            let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| variable == marked.as_bytes())
        });
        let line = |entry: fs::DirEntry| fs::read(entry.path().join("cmdline")).unwrap_or_default();
        ours.map(|entry| String::from_utf8_lossy(&line(entry)).replace('\0', " ")).collect()
    }

    /// The directories of the ledgers.
    pub(crate) fn ledgers(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path("var").join("ledgers")).expect("the root of ledgers");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        paths.filter(|path| path.join("ledger.json").is_file()).collect()
    }

    /// Verifies both ledgers.
    pub(crate) fn assert_verified(&self) {
        let ledgers = self.ledgers();
        assert_eq!(ledgers.len(), 2, "{ledgers:?}");
        for ledger in ledgers {
            let verdict = verify(&ledger, &VerifyOptions::new()).expect("read the ledger");
            assert!(verdict.is_verified(), "{verdict}");
        }
        crate::watch::assert_left_is_rebuilt(&self.path("var"));
    }

    /// What the gateway left of its views is what folding from zero gives.
    pub(crate) fn assert_rebuilt(&self) {
        let boards = crate::watch::assert_left_is_rebuilt(&self.path("var"));
        assert!(boards > 0, "the job looks at the bossman of its scopes");
    }

    /// The events `http.request` of both services, whatever their scope.
    pub(crate) fn requests(&self) -> Vec<DatasetEvent> {
        self.ledgers().iter().flat_map(|ledger| requests(ledger)).collect()
    }

    /// Those of the gateway.
    pub(crate) fn gateway_requests(&self) -> Vec<DatasetEvent> {
        let mut requests = self.requests();
        requests.retain(|event| event.writer.service == "gateway");
        requests
    }

    /// Replaces text in one line of a log, the `number`-th that holds it.
    pub(crate) fn tamper(&self, ledger: &Path, number: usize, from: &str, to: &str) {
        let segment = ledger.join("log/00000001.ndjson");
        let text = fs::read_to_string(&segment).expect("a segment");
        let (at, _) = text.match_indices(from).nth(number).expect("a line that holds it");
        let text = format!("{}{to}{}", &text[..at], &text[at + from.len()..]);
        fs::write(&segment, text).expect("write the segment");
    }
}

/// The events `http.request` of a ledger.
fn requests(ledger: &Path) -> Vec<DatasetEvent> {
    let operator = LedgerReader::open(ledger).expect("open the ledger").unrecorded_operator();
    let events = operator.events().surface("http.request").iter();
    events.map(|stored| stored.expect("a readable event").event).collect()
}

fn listen(from: impl Read + Send + 'static, is_message: bool, says: Sender<(bool, String)>) {
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines() {
            let line = line.expect("text");
            if says.send((is_message, line)).is_err() {
                return;
            }
        }
    });
}

/// A job that runs.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<(bool, String)>,
    output: String,
    messages: String,
}

/// A job that has ended, and all of its processes with it: nobody writes to its output any more.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) output: String,
    pub(crate) messages: String,
}

impl Running {
    /// The next line, of output or messages, that holds this text.
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok((is_message, line)) = self.lines.recv_timeout(left) else {
                panic!("the job did not say {text:?}\n{}\n{}", self.output, self.messages);
            };
            self.keep(is_message, &line);
            if line.contains(text) {
                return line;
            }
        }
    }

    fn keep(&mut self, is_message: bool, line: &str) {
        let kept = if is_message { &mut self.messages } else { &mut self.output };
        kept.push_str(line);
        kept.push('\n');
    }

    /// Waits until nobody writes to its output any more, and for its status.
    pub(crate) fn end(mut self) -> Ended {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok((is_message, line)) => self.keep(is_message, &line),
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                    panic!("the job goes on\n{}\n{}", self.output, self.messages)
                }
            }
        }
        let status = self.child.wait().expect("the job's status");
        Ended { status, output: self.output, messages: self.messages }
    }

    fn id(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// A signal to the job's own process.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.id(), signal).expect("send a signal to the job");
    }

    /// A signal to the job's process group, as a terminal sends it.
    pub(crate) fn signal_group(&self, signal: Signal) {
        kill_process_group(self.id(), signal).expect("send a signal to the job's group");
    }
}

/// Kills the service that a line of the job names: `The gateway (process 12) ...`.
pub(crate) fn kill_service(line: &str, name: &str) {
    let (_, rest) = line.split_once(&format!("{name} (process ")).expect("the service's process");
    let (id, _) = rest.split_once(')').expect("the end of the number");
    let id = Pid::from_raw(id.parse().expect("a number")).expect("a process id");
    kill_process(id, Signal::KILL).expect("kill the service");
}

/// A number of a report.
pub(crate) fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("no number: {value}"))
}
