//! The Firestore emulator of the Google Cloud CLI.
//!
//! It is started as a jar, not through `gcloud`: the CLI's launcher leaves the server running when it is ended.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use super::fresh;
use super::process::{Launch, Server, http_status};
use super::running::Shared;

/// What a machine must have.
const NEEDED: &str = "these tests start the Firestore emulator: install Java 17 (Debian: openjdk-17-jre-headless) \
                      and the component cloud-firestore-emulator of the Google Cloud CLI 528, or name the jar in \
                      FIRESTORE_EMULATOR_JAR";

/// An emulator of one's own, for tests that kill or freeze it.
///
/// # Panics
///
/// When Java or the jar is missing, with what to install; when the emulator does not start.
pub fn start() -> Server {
    let jar = jar();
    let java = Command::new("java").arg("-version").output();
    assert!(java.is_ok_and(|java| java.status.success()), "there is no Java on the path; {NEEDED}");
    Server::start(Launch {
        name: "firestore",
        ports: 1,
        command: Box::new(move |ports| {
            let mut command = Command::new("java");
            // Without a limit it grows to a quarter of the machine's memory.
            command.args(["-Duser.language=en", "-Xmx1g", "-cp"]).arg(&jar);
            command.args(["com.google.cloud.datastore.emulator.firestore.CloudFirestore", "start"]);
            command.args(["--host=127.0.0.1", &format!("--port={}", ports[0])]);
            command
        }),
        is_ready: |ports| http_status(ports[0], "/").is_some_and(|line| line.contains(" 200 ")),
        deadline: Duration::from_secs(90),
    })
}

/// The emulator that the tests of a program share. Projects keep them apart.
///
/// # Panics
///
/// As [`start`].
pub fn shared() -> Arc<Server> {
    static SHARED: Shared = Shared::new(1, start);
    SHARED.get()
}

/// A project that nothing was written to.
pub fn fresh_project() -> String {
    fresh("test-")
}

fn jar() -> PathBuf {
    if let Some(jar) = std::env::var_os("FIRESTORE_EMULATOR_JAR") {
        let jar = PathBuf::from(jar);
        assert!(
            jar.is_file(),
            "FIRESTORE_EMULATOR_JAR names `{}`, which is no file; {NEEDED}",
            jar.display()
        );
        return jar;
    }
    let root = Command::new("gcloud").args(["info", "--format=value(installation.sdk_root)"]).output();
    let root = root.unwrap_or_else(|error| panic!("run gcloud: {error}; {NEEDED}"));
    let root = String::from_utf8_lossy(&root.stdout).trim().to_owned();
    let jar = Path::new(&root).join("platform/cloud-firestore-emulator/cloud-firestore-emulator.jar");
    assert!(jar.is_file(), "there is no `{}`; {NEEDED}", jar.display());
    jar
}
