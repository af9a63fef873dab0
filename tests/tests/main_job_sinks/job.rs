//! The main job as a process, over documents, a root and a configuration of its own.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use dataset_events_examples::services::SinkReport;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::Value;
use tempfile::TempDir;

/// Far more than any step takes.
const DEADLINE: Duration = Duration::from_secs(180);

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
        self.command().arg("--once").output().expect("run the main job")
    }

    fn command(&self) -> Command {
        let mut command = program();
        command
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
        let mut output = BufReader::new(child.stdout.take().expect("its output"));
        let services = line_with(&mut output, "takes requests at");
        let operators = line_with(&mut output, "For operators: ");
        let service = |name: &str| Service {
            name: name.to_owned(),
            process: between(&services, &format!("{name} (process "), ")").parse().expect("a process"),
            operations: between(&format!("{operators} "), &format!("{name} at http://"), " ")
                .trim_end_matches(',')
                .parse()
                .expect("an address"),
        };
        let services = [service("gateway"), service("engines")];
        Running { child, _output: output, services }
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

fn line_with(output: &mut impl BufRead, text: &str) -> String {
    let mut said = String::new();
    loop {
        let mut line = String::new();
        let read = output.read_line(&mut line).expect("read what the job says");
        assert!(read > 0, "the job did not say {text:?}:\n{said}");
        if line.contains(text) {
            return line.trim_end().to_owned();
        }
        said.push_str(&line);
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
            let client = reqwest::Client::builder().no_proxy().build().expect("a client");
            let answer = client.get(url).send().await.expect("the operations address answers");
            answer.json().await.expect("the state of the sinks")
        };
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(asked)
    }
}

/// A job that runs, with its services.
pub(crate) struct Running {
    child: Child,
    _output: BufReader<ChildStdout>,
    pub(crate) services: [Service; 2],
}

impl Running {
    /// SIGKILL to the services and the job, each of which leads a process group; returns when none is left.
    pub(crate) fn kill(mut self) {
        for Service { process, name, .. } in &self.services {
            let id = Pid::from_raw(*process).expect("a process id");
            kill_process_group(id, Signal::KILL).unwrap_or_else(|error| panic!("kill the {name}: {error}"));
        }
        kill_process(Pid::from_child(&self.child), Signal::KILL).expect("kill the job");
        self.child.wait().expect("wait for the job");
        // Its end comes when the last of them is gone: all of them write there.
        let mut messages = self.child.stderr.take().expect("its messages");
        let (say_gone, gone) = channel();
        std::thread::spawn(move || say_gone.send(messages.read_to_end(&mut Vec::new()).map(|_| ())));
        gone.recv_timeout(DEADLINE).expect("all of them end").expect("read their messages");
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
