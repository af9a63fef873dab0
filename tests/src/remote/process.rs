//! A server in a process of its own, from its start to its end.

use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Ports that are given out: below those that the system takes for outgoing connections, which could otherwise sit
/// on a server's port while it is down.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// How often a server is started on other ports, should another process have taken them in between.
const TRIES: usize = 3;

/// Runs the server, and ends it when the test's end of stdin is closed: also when the test is killed. What it kept in a
/// [`Scratch`] goes then, too.
const WATCHED: &str = r#"
    exec 3<&0 </dev/null
    "$@" 3<&- &
    server=$!
    (
        cat <&3 >/dev/null
        kill -KILL "$server"
        if [ -n "$DATASET_EVENTS_SCRATCH" ]; then rm -rf -- "$DATASET_EVENTS_SCRATCH"; fi
    ) 2>/dev/null &
    exec 3<&-
    wait "$server"
"#;

/// Tells the watching shell what to remove.
const SCRATCH: &str = "DATASET_EVENTS_SCRATCH";

/// How much memory must be free for a server to keep its files there, in bytes.
const ROOM: u64 = 2 << 30;

/// Makes a command for these ports of 127.0.0.1.
pub type MakeCommand = Box<dyn Fn(&[u16]) -> Command + Send + Sync>;

/// How to start a server, and how to know that it is ready.
pub struct Launch {
    /// What it is called in messages and in the name of its output.
    pub name: &'static str,
    /// How many ports it listens on.
    pub ports: usize,
    /// The command, for these ports of 127.0.0.1.
    pub command: MakeCommand,
    /// Whether it answers.
    pub is_ready: fn(&[u16]) -> bool,
    /// How long it may take to become ready.
    pub deadline: Duration,
}

impl std::fmt::Debug for Launch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Launch").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A running server. It and its children are killed when this is dropped.
#[derive(Debug)]
pub struct Server {
    launch: Launch,
    ports: Vec<u16>,
    output: PathBuf,
    child: Option<Child>,
}

impl Server {
    /// Starts a server on free ports, and waits until it is ready.
    ///
    /// # Panics
    ///
    /// When it does not become ready, with what it said.
    pub fn start(launch: Launch) -> Self {
        let ports = free_ports(launch.ports);
        let output = output_file(launch.name, &ports);
        let mut server = Self { launch, ports, output, child: None };
        for left in (0..TRIES).rev() {
            match server.launch_and_wait() {
                Ok(()) => return server,
                Err(problem) if left == 0 => panic!("{problem}"),
                Err(_) => server.ports = free_ports(server.launch.ports),
            }
        }
        unreachable!("the last try returns or panics")
    }

    /// Its ports, in the order in which its command got them.
    pub fn ports(&self) -> &[u16] {
        &self.ports
    }

    /// Its address at its first port: `127.0.0.1:20000`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.ports[0])
    }

    /// The file with what it says.
    pub fn output(&self) -> &Path {
        &self.output
    }

    /// SIGKILL, to it and its children. Without effect when it is down.
    pub fn kill(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        // Before the wait: until then no other process can have its id.
        kill_group(child.id(), libc::SIGKILL);
        // The watching shell is waited for; a server that outlives SIGKILL for a moment shows in its port.
        let _ = child.wait();
        let gone_by = Instant::now() + Duration::from_secs(10);
        while self.ports.iter().any(|port| accepts(*port)) && Instant::now() < gone_by {
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Starts it anew on the same ports, and waits until it is ready.
    ///
    /// # Panics
    ///
    /// When it does not become ready.
    pub fn restart(&mut self) {
        self.kill();
        if let Err(problem) = self.launch_and_wait() {
            panic!("{problem}");
        }
    }

    /// SIGSTOP: it keeps its connections and answers nothing.
    pub fn freeze(&self) {
        self.signal(libc::SIGSTOP);
    }

    /// SIGCONT: it goes on where it was frozen.
    pub fn thaw(&self) {
        self.signal(libc::SIGCONT);
    }

    fn signal(&self, signal: i32) {
        kill_group(self.child.as_ref().expect("the server runs").id(), signal);
    }

    fn launch_and_wait(&mut self) -> Result<(), String> {
        let file = File::options().create(true).append(true).open(&self.output);
        let file = file.unwrap_or_else(|error| panic!("open {}: {error}", self.output.display()));
        let server = (self.launch.command)(&self.ports);
        let mut command = Command::new("sh");
        command.args(["-c", WATCHED, "sh"]).arg(server.get_program()).args(server.get_args());
        command.env_remove(SCRATCH);
        for (name, value) in server.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        if let Some(directory) = server.get_current_dir() {
            command.current_dir(directory);
        }
        let errors = file.try_clone().expect("a second handle on the output");
        command.stdin(Stdio::piped()).stdout(file).stderr(errors).process_group(0);
        self.child = Some(command.spawn().unwrap_or_else(|error| panic!("start {command:?}: {error}")));

        let deadline = Instant::now() + self.launch.deadline;
        loop {
            let exited = match self.child.as_mut().map(Child::try_wait) {
                Some(Ok(None)) => None,
                other => Some(format!("ended at once ({other:?})")),
            };
            if exited.is_none() && (self.launch.is_ready)(&self.ports) {
                return Ok(());
            }
            let problem = match exited {
                None if Instant::now() < deadline => {
                    thread::sleep(Duration::from_millis(20));
                    continue;
                }
                None => format!("was not ready after {:?}", self.launch.deadline),
                Some(exited) => exited,
            };
            self.kill();
            return Err(format!(
                "the {} server {problem}; it said in {}:\n{}",
                self.launch.name,
                self.output.display(),
                end_of(&self.output)
            ));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The status line of a GET over plain HTTP, such as `HTTP/1.1 200 OK`; `None` when nobody answers within 2 seconds.
pub fn http_status(port: u16, path: &str) -> Option<String> {
    let limit = Some(Duration::from_secs(2));
    let mut stream = TcpStream::connect_timeout(&local(port), Duration::from_secs(2)).ok()?;
    stream.set_read_timeout(limit).ok()?;
    stream.set_write_timeout(limit).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n").ok()?;
    let mut answer = Vec::new();
    // Some servers reset the connection behind the answer.
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    answer.lines().next().filter(|line| line.starts_with("HTTP/")).map(str::to_owned)
}

/// Whether somebody listens on a port of 127.0.0.1.
pub fn accepts(port: u16) -> bool {
    TcpStream::connect_timeout(&local(port), Duration::from_secs(2)).is_ok()
}

/// The folder under the target directory in which servers keep their files; made when it is not there.
///
/// # Panics
///
/// When it cannot be made.
pub fn folder(name: &str) -> PathBuf {
    // target/<profile>/deps/<this program>
    let program = std::env::current_exe().expect("the path of this program");
    let target = program.ancestors().nth(3).expect("it lies in the target directory");
    let folder = target.join("remote-sinks").join(name);
    fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("make {}: {error}", folder.display()));
    folder
}

/// A directory for what a server stores: in memory where there is room, under the target directory elsewhere. It is
/// removed with the server, and outlives its restarts.
///
/// Servers sync what they store, and on a disk that takes most of their time.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// An empty directory.
    ///
    /// # Panics
    ///
    /// When it cannot be made.
    pub fn new(name: &str) -> Self {
        let memory = Path::new("/dev/shm");
        let has_room = rustix::fs::statvfs(memory).is_ok_and(|stat| stat.f_bavail * stat.f_frsize >= ROOM);
        let parent = if has_room { memory.to_owned() } else { folder("scratch") };
        let made = tempfile::Builder::new().prefix(&format!("dataset-events-{name}-")).tempdir_in(&parent);
        let made = made.unwrap_or_else(|error| panic!("make a directory in {}: {error}", parent.display()));
        Self(made.keep())
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Has it removed when the server that the command starts ends with the test.
    pub fn goes_with(&self, command: &mut Command) {
        command.env(SCRATCH, &self.0);
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left lies in a directory for temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn free_ports(count: usize) -> Vec<u16> {
    let mut ports = Vec::with_capacity(count);
    let mut held = Vec::with_capacity(count);
    let begin = RandomState::new().hash_one(std::process::id());
    let len = PORTS.end - PORTS.start;
    for step in 0..len {
        if ports.len() == count {
            break;
        }
        let port = PORTS.start + ((begin % u64::from(len)) as u16 + step) % len;
        if let Ok(listener) = TcpListener::bind(local(port)) {
            ports.push(port);
            held.push(listener);
        }
    }
    assert_eq!(ports.len(), count, "no free ports in {PORTS:?}");
    ports
}

fn output_file(name: &str, ports: &[u16]) -> PathBuf {
    folder("output").join(format!("{name}-{}.txt", ports[0]))
}

fn end_of(path: &Path) -> String {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}

#[allow(unsafe_code, reason = "std offers no signal but SIGKILL, and none to a process group")]
fn kill_group(leader: u32, signal: i32) {
    let Ok(leader) = i32::try_from(leader) else { return };
    // SAFETY: no memory is involved. The group is one that this process made.
    let _ = unsafe { libc::kill(-leader, signal) };
}
