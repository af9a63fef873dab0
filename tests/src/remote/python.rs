//! Servers that come from PyPI, each in a virtual environment under the target directory.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::folder;

/// What an environment is made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// Its folder's name.
    pub(super) name: &'static str,
    /// Every package, pinned.
    pub(super) requirements: &'static str,
    /// What a machine must have, for whoever reads why it cannot be made.
    pub(super) needed: &'static str,
    /// Finds the interpreter.
    pub(super) interpreter: fn() -> PathBuf,
    /// What is to be done in the environment's folder when its packages are installed.
    pub(super) finish: fn(&Path),
}

/// The folder of an environment, with the virtual environment in `venv`; made once, whoever comes first.
///
/// # Panics
///
/// When it cannot be made, with what to install.
pub(super) fn python_environment(wanted: &Wanted) -> PathBuf {
    let Wanted { name, requirements, needed, .. } = *wanted;
    let environment = folder(name);
    let lock = environment.join("lock");
    let lock = File::create(&lock).unwrap_or_else(|error| panic!("make {}: {error}", lock.display()));
    lock.lock().expect("wait for whoever makes the environment");
    let made = environment.join("made");
    let python = environment.join("venv/bin/python");
    // The interpreter that it links to can be gone.
    if fs::read_to_string(&made).is_ok_and(|made_of| made_of == requirements) && runs(&python) {
        return environment;
    }
    // What an installation that was broken off, or one of other packages, has left. The note goes first: broken off
    // from here on, it would speak of an environment that is not there.
    remove("the note that the environment is made", fs::remove_file(&made));
    remove("the environment that is made anew", fs::remove_dir_all(environment.join("venv")));
    let list = environment.join("requirements.txt");
    fs::write(&list, requirements).expect("write the requirements");
    run(Command::new((wanted.interpreter)()).args(["-m", "venv"]).arg(environment.join("venv")), needed);
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]);
    run(pip.arg(&list), needed);
    (wanted.finish)(&environment);
    fs::write(&made, requirements).expect("note that the environment is made");
    environment
}

fn remove(what: &str, removed: io::Result<()>) {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => panic!("remove {what}: {error}"),
        _ => {}
    }
}

fn runs(python: &Path) -> bool {
    let output = Command::new(python).args(["-c", ""]).output();
    output.is_ok_and(|output| output.status.success())
}

/// Runs a command to its end.
///
/// # Panics
///
/// When it fails, with what it said and what is needed.
pub(super) fn run(command: &mut Command, needed: &str) {
    let output = command.output().unwrap_or_else(|error| panic!("run {command:?}: {error}; {needed}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}\n{needed}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Whether an interpreter is one that makes virtual environments, and of which a condition on `sys.version_info` holds.
pub(super) fn is_python(python: &Path, version: &str) -> bool {
    let check = format!("import sys, venv, ensurepip; sys.exit(not sys.version_info[:2] {version})");
    let checked = Command::new(python).args(["-c", &check]).output();
    checked.is_ok_and(|checked| checked.status.success())
}
