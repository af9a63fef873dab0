//! Running a test binary once more, for its coverage.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Coverage, CoverageError, merged, sink};

/// Set in the process that is run for its coverage.
const WITHIN: &str = "DATASET_EVENTS_COVERAGE_WITHIN";

/// Runs the tests of this binary once more, in a process of their own, and gives what they exercised.
///
/// `args` are arguments of the test binary, such as filters. Without any, all tests run except the one that
/// asks, which is known by the name of its thread; with any, the asking test must not be among those that
/// are selected. What is in the directory that `DATASET_EVENTS_COVERAGE` names, where it is set, is merged in.
///
/// # Errors
///
/// - [`CoverageError::TestsFailed`] when a test fails, with everything that was printed.
/// - [`CoverageError::InsideItself`] when the asking test was selected, so that it ran inside itself.
/// - [`CoverageError::Io`] and [`CoverageError::Malformed`] as [`merged`].
pub fn of_this_test_binary(args: &[&str]) -> Result<Coverage, CoverageError> {
    if !args.is_empty() {
        return run(args);
    }
    // The test harness names the thread of a test after it, unless tests run on the main thread.
    let thread = std::thread::current();
    match thread.name().filter(|name| *name != "main") {
        Some(name) => run(&["--exact", "--skip", name]),
        None => run(&[]),
    }
}

/// The same, without the test that has an item of this path inside.
#[doc(hidden)]
pub fn without_test(item: &str) -> Result<Coverage, CoverageError> {
    // `crate::module::test::{{closure}}::here` is the test `module::test`.
    let path: Vec<&str> = item.split("::").skip(1).filter(|part| *part != "{{closure}}").collect();
    let test = path[..path.len().saturating_sub(1)].join("::");
    run(&["--exact", "--skip", &test])
}

fn run(args: &[&str]) -> Result<Coverage, CoverageError> {
    if std::env::var_os(WITHIN).is_some() {
        return Err(CoverageError::InsideItself);
    }
    let own = OwnDirectory::new();
    let directory = sink::directory().unwrap_or_else(|| own.0.clone());
    fs::create_dir_all(&directory).map_err(CoverageError::io("create the coverage directory", &directory))?;
    let io = |what: &str| {
        let attempted = format!("{what} for its coverage");
        |source| CoverageError::Io { attempted, source }
    };
    let program = std::env::current_exe().map_err(io("find this test binary"))?;
    let output = Command::new(&program)
        .args(args)
        .env(sink::VARIABLE, &directory)
        .env(WITHIN, "1")
        .stdin(Stdio::null())
        .output()
        .map_err(io("run this test binary again"))?;
    if !output.status.success() {
        let printed = [&output.stdout[..], &output.stderr[..]].map(String::from_utf8_lossy).concat();
        return Err(CoverageError::TestsFailed { output: format!("{}\n{printed}", output.status) });
    }
    merged(&directory)
}

/// A directory that goes when it is no longer needed.
struct OwnDirectory(PathBuf);

impl OwnDirectory {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let unique = crate::id_source::request_id(None);
        let name = format!("dataset-events-coverage-{}-{number}-{unique}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for OwnDirectory {
    fn drop(&mut self) {
        // It is not there when the environment names another one.
        let _ = fs::remove_dir_all(&self.0);
    }
}
