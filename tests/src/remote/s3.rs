//! The S3 server of `moto` from PyPI, in a virtual environment under the target directory.

use std::hash::{BuildHasher, RandomState};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use super::process::{Launch, Server, http_status};
use super::python::{Wanted, is_python, python_environment};

/// What a machine must have.
const NEEDED: &str = "these tests start the S3 server of `moto`, which runs on CPython 3.10 or later: install it \
                      (the distribution's python3 with its venv module), or name the interpreter in S3_PYTHON";

/// The pinned packages.
const REQUIREMENTS: &str = include_str!("../../remote/s3-requirements.txt");

/// A server of one's own, for tests that kill or freeze it. It keeps nothing over a restart, not even buckets.
///
/// # Panics
///
/// When Python is missing, with what to install; when the packages cannot be installed; when the server does not
/// start.
pub fn start() -> Server {
    let environment = python_environment(&Wanted {
        name: "s3",
        requirements: REQUIREMENTS,
        needed: NEEDED,
        interpreter: python,
        finish: |_| {},
    });
    Server::start(Launch {
        name: "s3",
        ports: 1,
        command: Box::new(move |ports| {
            let mut command = Command::new(environment.join("venv/bin/moto_server"));
            command.args(["-H", "127.0.0.1", "-p", &ports[0].to_string()]);
            command
        }),
        is_ready: |ports| http_status(ports[0], "/").is_some_and(|line| line.contains(" 200 ")),
        deadline: Duration::from_secs(120),
    })
}

/// The server that the tests of a program share; it ends with the last of them. Buckets keep them apart.
///
/// # Panics
///
/// As [`start`].
pub fn shared() -> Arc<Server> {
    static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let server = Arc::new(start());
        *shared = Arc::downgrade(&server);
        server
    })
}

/// The name of a bucket that is not there yet.
pub fn fresh_bucket() -> String {
    // Random keys in each process, and others at each call.
    format!("audit-{:016x}", RandomState::new().hash_one(std::process::id()))
}

/// Makes a bucket.
///
/// # Panics
///
/// When the server refuses it.
pub fn make_bucket(server: &Server, bucket: &str) {
    let mut stream = TcpStream::connect(server.address()).expect("the server accepts");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("set a limit");
    let address = server.address();
    write!(
        stream,
        "PUT /{bucket} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
    )
    .expect("send the request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap_or_else(|error| panic!("make bucket {bucket}: {error}"));
    assert!(answer.starts_with("HTTP/1.1 200 "), "make bucket {bucket}: {answer}");
}

fn python() -> PathBuf {
    let mut candidates: Vec<PathBuf> = std::env::var_os("S3_PYTHON").into_iter().map(Into::into).collect();
    candidates.push("python3".into());
    let found = candidates.into_iter().find(|candidate| is_python(candidate, ">= (3, 10)"));
    found.unwrap_or_else(|| panic!("there is no Python 3.10 or later; {NEEDED}"))
}
