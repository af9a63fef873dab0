//! The BigQuery server `local-bigquery` from PyPI, in a virtual environment under the target directory.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::fresh;
use super::process::{Launch, Scratch, Server, accepts, http_status};
use super::python::{Wanted, is_python, python_environment, run};
use super::running::Shared;

/// What a machine must have.
const NEEDED: &str = "these tests start the BigQuery server `local-bigquery`, which runs on CPython 3.13 alone: \
                      install it (pyenv install 3.13, or the distribution's python3.13 with its venv module), or \
                      name the interpreter in BIGQUERY_PYTHON";

/// The pinned packages.
const REQUIREMENTS: &str = include_str!("../../remote/bigquery-requirements.txt");

/// The project that the server is started for; any other works as well.
pub const PROJECT: &str = "test-project";

/// The largest request that the server takes, with room for what is around the rows: gRPC's default is 4 MiB.
pub const MAX_REQUEST_BYTES: usize = 3_500 << 10;

/// A server of one's own, for tests that kill or freeze it. Its tables outlive a restart, its write streams do not.
///
/// # Panics
///
/// When Python 3.13 is missing, with what to install; when the packages cannot be installed; when the server does not
/// start.
pub fn start() -> Server {
    let environment = environment();
    let data = Scratch::new("bigquery");
    Server::start(Launch {
        name: "bigquery",
        ports: 2,
        command: Box::new(move |ports| {
            let mut command = Command::new(environment.join("venv/bin/local-bigquery"));
            // DuckDB keeps its extensions there.
            command.env("HOME", environment.join("home"));
            command.args(["--host", "127.0.0.1", "--project", PROJECT]);
            command.args(["--port", &ports[0].to_string(), "--grpc-port", &ports[1].to_string()]);
            command.arg("--data-dir").arg(data.path());
            data.goes_with(&mut command);
            command
        }),
        is_ready: |ports| {
            let path = format!("/bigquery/v2/projects/{PROJECT}/datasets");
            accepts(ports[1]) && http_status(ports[0], &path).is_some_and(|line| line.contains(" 200 "))
        },
        deadline: Duration::from_secs(120),
    })
}

/// One of the servers that the tests of a program share: two, since each runs on one core, for four tests each at a
/// time, the others wait. Datasets keep tests apart.
///
/// # Panics
///
/// As [`start`].
pub fn shared() -> Arc<Server> {
    static SHARED: Shared = Shared::new(2, start).users(4);
    SHARED.get()
}

/// A dataset that is not there yet.
pub fn fresh_dataset() -> String {
    fresh("d_")
}

/// The folder with the virtual environment and the server's home.
fn environment() -> PathBuf {
    python_environment(&Wanted {
        name: "bigquery",
        requirements: REQUIREMENTS,
        needed: NEEDED,
        interpreter: python,
        finish: |environment| {
            let home = environment.join("home");
            let _ = fs::remove_dir_all(&home);
            fs::create_dir_all(&home).expect("make the server's home");
            let unpack = "from duckdb_extensions import import_extension\n\
                          for extension in ('icu', 'ducklake', 'spatial'): import_extension(extension)";
            let mut unpacking = Command::new(environment.join("venv/bin/python"));
            run(unpacking.args(["-c", unpack]).env("HOME", home), NEEDED);
        },
    })
}

/// An interpreter of the one version that will do.
fn python() -> PathBuf {
    let mut candidates: Vec<PathBuf> =
        std::env::var_os("BIGQUERY_PYTHON").into_iter().map(Into::into).collect();
    candidates.push("python3.13".into());
    // A shim of pyenv runs only what the folder or the environment has chosen.
    let root = Command::new("pyenv").arg("root").output();
    if let Some(root) = root.ok().filter(|root| root.status.success()) {
        let versions = PathBuf::from(String::from_utf8_lossy(&root.stdout).trim()).join("versions");
        let versions = fs::read_dir(versions).into_iter().flatten().flatten();
        candidates.extend(versions.map(|version| version.path().join("bin/python3.13")));
    }
    let found = candidates.into_iter().find(|candidate| is_python(candidate, "== (3, 13)"));
    found.unwrap_or_else(|| panic!("there is no Python 3.13; {NEEDED}"))
}

/// The server's REST interface, for what tests ask past the library.
#[derive(Debug, Clone, Copy)]
pub struct Rest {
    port: u16,
}

impl Rest {
    /// That of a running server.
    pub fn of(server: &Server) -> Self {
        Self { port: server.ports()[0] }
    }

    /// The rows of a query, as text.
    ///
    /// # Panics
    ///
    /// When the server refuses it.
    pub fn query(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        let answer = self.post("queries", &json!({"query": sql, "useLegacySql": false}));
        assert_eq!(answer["jobComplete"], json!(true), "{sql}: {answer}");
        assert!(answer.get("pageToken").is_none(), "the rows do not fit one page: {sql}");
        let cell = |cell: &Value| cell["v"].as_str().map(str::to_owned);
        let row = |row: &Value| row["f"].as_array().expect("cells").iter().map(cell).collect();
        answer["rows"].as_array().map(|rows| rows.iter().map(row).collect()).unwrap_or_default()
    }

    /// What stands at a path of the project.
    ///
    /// # Panics
    ///
    /// When it is not there.
    pub fn get(&self, path: &str) -> Value {
        self.call("GET", path, "")
    }

    /// Sends a body to a path of the project.
    ///
    /// # Panics
    ///
    /// When the server refuses it.
    pub fn post(&self, path: &str, body: &Value) -> Value {
        self.call("POST", path, &body.to_string())
    }

    fn call(&self, method: &str, path: &str, body: &str) -> Value {
        let asked = format!("{method} {path} {body}");
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("the server accepts");
        stream.set_read_timeout(Some(Duration::from_secs(120))).expect("set a limit");
        write!(
            stream,
            "{method} /bigquery/v2/projects/{PROJECT}/{path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .expect("send the request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap_or_else(|error| panic!("{asked}: {error}"));
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{asked}: {answer}"));
        assert!(head.starts_with("HTTP/1.1 200 "), "{asked}: {head}\n{body}");
        assert!(!head.to_ascii_lowercase().contains("transfer-encoding"), "the answer is in chunks: {head}");
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{asked}: {error}: {body}"))
    }
}
