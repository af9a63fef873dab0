//! Coverage: which surfaces the tests of a program exercised, and with which ends.
//!
//! Each process notes for every annotated function whether it was entered, succeeded, failed, and with which
//! of the codes that its error type declares. Where the variable `DATASET_EVENTS_COVERAGE` names a directory,
//! each process also writes this into a file of its own there, a line at the first time of each; [`merged`]
//! reads the files of all threads, processes and test binaries together. A killed process loses nothing.
//!
//! # In a test
//!
//! Tests run concurrently and in any order, so none of them can ask what the others did. The way that works
//! everywhere is to run the test binary once more, without the asking test, and to look at the result:
//!
//! ```no_run
//! # use dataset_events::testing::assert_covered;
//! #[test]
//! fn every_surface_of_this_crate_is_seen_to_succeed_and_to_fail() {
//!     assert_covered!(crate);
//! }
//! ```
//!
//! [`of_this_test_binary`] does the same and gives the [`Coverage`], to require surfaces by name, to print it, or
//! to keep it as JSON. To merge several test binaries, run them with the variable set, then one check:
//!
//! ```text
//! rm -rf target/coverage
//! DATASET_EVENTS_COVERAGE=target/coverage cargo test
//! DATASET_EVENTS_COVERAGE=target/coverage cargo test --test coverage
//! ```
//!
//! A file names the program that wrote it. When that was built again since, the file is left out, so that what
//! removed tests once saw does not count. A test binary that was removed as a whole is not built again, and its
//! files count as long as they are there: begin with an empty directory, as above.
//!
//! Recording must be on: with `DATASET_EVENTS=off` calls are entered and never seen to end. A dropped future is
//! noted as cancelled; it counts neither as success nor as failure. A panic is a failure.

mod build;
mod check;
mod rerun;
pub(crate) mod sink;
mod table;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

use serde::de::Error as _;
use serde::{Deserialize, Serialize};

pub use self::check::{Demand, Gap, NotCovered};
pub use self::rerun::of_this_test_binary;
#[doc(hidden)]
pub use self::rerun::without_test;
use self::sink::{Line, What};
use crate::error_code::LedgerUnavailable;
use crate::seen::Seen;
use crate::surface::{Access, Guarantee, Site};

/// What was seen of one annotated function.
///
/// Two functions with the same surface are two of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SurfaceCoverage {
    /// The dotted name.
    pub surface: String,
    /// The crate that holds the function.
    #[serde(rename = "crate")]
    pub crate_name: String,
    /// The module path.
    pub module: String,
    /// The function's name.
    pub function: String,
    /// The source file.
    pub file: String,
    /// The line of the function's name.
    pub line: u32,
    /// What the operation does to the data.
    pub access: Access,
    /// What survives which failure.
    pub guarantee: Guarantee,
    /// Why no call can fail, where the attribute says so.
    pub cannot_fail: Option<String>,
    /// Whether a call began.
    pub is_entered: bool,
    /// Whether a call succeeded.
    pub is_ok: bool,
    /// Whether a call failed: with a code, or by panic.
    pub has_failed: bool,
    /// Whether a future or stream was dropped before its end.
    pub is_cancelled: bool,
    /// The codes that the error type declares; empty when it lists none.
    pub codes_declared: Vec<String>,
    /// The codes that calls failed with; `panic` stands for a panic.
    pub codes_seen: Vec<String>,
    /// Declared, and never seen.
    pub codes_never_seen: Vec<String>,
    /// Seen, and not declared by an error type that declares some.
    pub codes_undeclared: Vec<String>,
}

/// A method that its `impl` block leaves out with `skip = "reason"`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Skipped {
    /// The surface that it would be.
    pub surface: String,
    /// The module path.
    pub module: String,
    /// The method's name.
    pub function: String,
    /// The source file.
    pub file: String,
    /// The line of the method's name.
    pub line: u32,
    /// Why it records nothing.
    pub reason: String,
}

/// What was exercised of the surfaces of a program. `Display` is a table; serialising gives the same as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Coverage {
    /// Every annotated function that any of the processes links, by surface.
    pub surfaces: Vec<SurfaceCoverage>,
    /// Every method that is left out.
    pub skipped: Vec<Skipped>,
    /// How many processes contributed.
    pub processes: usize,
    /// How many files were left out because their program was built again since.
    pub outdated: usize,
    /// Surfaces that must be there, see [`require`](Coverage::require).
    pub required: Vec<String>,
}

/// Why coverage could not be had.
#[derive(Debug)]
#[non_exhaustive]
pub enum CoverageError {
    /// A file or directory could not be used.
    Io {
        /// What was attempted, on what.
        attempted: String,
        /// Why it failed.
        source: io::Error,
    },
    /// A line of a coverage file cannot be understood: the file is of another version, or something else.
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The test binary that was run again failed.
    TestsFailed {
        /// What it printed.
        output: String,
    },
    /// The test binary that was run again ran the asking test again.
    InsideItself,
}

impl fmt::Display for CoverageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { attempted, .. } => f.write_str(attempted),
            Self::Malformed { path, line, .. } => write!(
                f,
                "read coverage from line {line} of {}: remove what other programs or versions left there",
                path.display()
            ),
            Self::TestsFailed { output } => {
                write!(f, "run the tests again for their coverage: they failed with\n{output}")
            }
            Self::InsideItself => f.write_str(
                "run the tests again for their coverage: the asking test ran again too; leave it out with the \
                 arguments `--skip <its name>`",
            ),
        }
    }
}

impl std::error::Error for CoverageError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Malformed { source, .. } => Some(source),
            Self::TestsFailed { .. } | Self::InsideItself => None,
        }
    }
}

impl CoverageError {
    fn io(what: &str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let attempted = format!("{what} {}", path.display());
        |source| Self::Io { attempted, source }
    }
}

/// What this process has exercised so far.
pub fn of_this_process() -> Coverage {
    let mut merge = Merge::default();
    let mut next = merge.process();
    for site in crate::surface::surfaces() {
        match site.skip {
            Some(reason) => merge.skipped(Skipped::of(site, reason)),
            None => {
                let mut about = SurfaceCoverage::of(site);
                about.is_entered = site.was_entered();
                about.is_ok = site.was_ok();
                about.has_failed = site.has_failed();
                about.is_cancelled = site.seen.has(Seen::CANCELLED);
                about.codes_seen = site.seen.codes(site);
                merge.surface(&mut next, about);
            }
        }
    }
    merge.finish(1, 0)
}

/// What the processes exercised that wrote into a directory, held against their registries and this one's.
///
/// # Errors
///
/// - [`CoverageError::Io`] when the directory or a file of it cannot be read.
/// - [`CoverageError::Malformed`] when a file is not of this version. A last line that a kill cut short is let go.
///
/// A file whose program was built again since is left out, and counted in [`Coverage::outdated`].
pub fn merged(directory: impl AsRef<Path>) -> Result<Coverage, CoverageError> {
    let directory = directory.as_ref();
    let failed = || CoverageError::io("read the coverage directory", directory);
    let mut merge = Merge::default();
    let (mut processes, mut outdated) = (0, 0);
    merge.lines(sink::registry());
    for entry in fs::read_dir(directory).map_err(failed())? {
        let path = entry.map_err(failed())?.path();
        if path.extension().is_none_or(|extension| extension != "ndjson") {
            continue;
        }
        let text = fs::read_to_string(&path).map_err(CoverageError::io("read coverage from", &path))?;
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let mut lines = Vec::new();
        for (at, line) in whole.lines().enumerate() {
            let parsed = serde_json::from_str(line);
            let malformed = |source| CoverageError::Malformed { path: path.clone(), line: at + 1, source };
            lines.push(parsed.map_err(malformed)?);
        }
        match lines.first() {
            // Killed before its first line.
            None => continue,
            Some(Line::Program { build }) if build.is_outdated() => {
                outdated += 1;
                continue;
            }
            Some(Line::Program { .. }) => {}
            Some(_) => {
                let source = serde_json::Error::custom("expected the program that wrote the file");
                return Err(CoverageError::Malformed { path, line: 1, source });
            }
        }
        merge.lines(lines);
        processes += 1;
    }
    Ok(merge.finish(processes, outdated))
}

/// What makes a function the same one in several processes.
type Key = (String, String, String, String, u32, usize);

#[derive(Default)]
struct Merge {
    surfaces: BTreeMap<Key, SurfaceCoverage>,
    skipped: Vec<Skipped>,
}

/// How many functions with the same place the registry of one process had so far: a macro may write several.
#[derive(Default)]
struct Registry {
    copies: BTreeMap<Key, usize>,
    keys: BTreeMap<usize, Key>,
}

impl Merge {
    fn process(&self) -> Registry {
        Registry::default()
    }

    fn lines(&mut self, lines: Vec<Line>) {
        let mut registry = self.process();
        for line in lines {
            match line {
                Line::Surface { id, about } => {
                    let key = self.surface(&mut registry, about);
                    registry.keys.insert(id, key);
                }
                Line::Program { .. } => {}
                Line::Skipped { about } => self.skipped(about),
                Line::Seen { id, what, code } => {
                    let seen = registry.keys.get(&id).and_then(|key| self.surfaces.get_mut(key));
                    let Some(seen) = seen else { continue };
                    match what {
                        What::Entered => seen.is_entered = true,
                        What::Ok => seen.is_ok = true,
                        What::Failed => seen.has_failed = true,
                        What::Cancelled => seen.is_cancelled = true,
                        What::Code => seen.codes_seen.extend(code),
                    }
                }
            }
        }
    }

    fn surface(&mut self, registry: &mut Registry, about: SurfaceCoverage) -> Key {
        let mut key = (
            about.surface.clone(),
            about.module.clone(),
            about.function.clone(),
            about.file.clone(),
            about.line,
            0,
        );
        let copies = registry.copies.entry(key.clone()).or_default();
        key.5 = *copies;
        *copies += 1;
        let known = self.surfaces.entry(key.clone()).or_insert_with(|| SurfaceCoverage {
            is_entered: false,
            is_ok: false,
            has_failed: false,
            is_cancelled: false,
            codes_seen: Vec::new(),
            ..about.clone()
        });
        known.is_entered |= about.is_entered;
        known.is_ok |= about.is_ok;
        known.has_failed |= about.has_failed;
        known.is_cancelled |= about.is_cancelled;
        known.codes_seen.extend(about.codes_seen);
        key
    }

    fn skipped(&mut self, skipped: Skipped) {
        self.skipped.push(skipped);
    }

    fn finish(mut self, processes: usize, outdated: usize) -> Coverage {
        self.skipped.sort();
        self.skipped.dedup();
        let mut surfaces: Vec<_> = self.surfaces.into_values().collect();
        for surface in &mut surfaces {
            surface.settle();
        }
        Coverage { surfaces, skipped: self.skipped, processes, outdated, required: Vec::new() }
    }
}

impl SurfaceCoverage {
    fn of(site: &'static Site) -> Self {
        let codes = site.seen.declared(site).iter().map(|code| code.name().to_owned());
        Self {
            surface: site.surface.to_owned(),
            crate_name: site.crate_name().to_owned(),
            module: site.module.to_owned(),
            function: site.function.to_owned(),
            file: site.file.to_owned(),
            line: site.line,
            access: site.access,
            guarantee: site.guarantee,
            cannot_fail: site.cannot_fail.map(str::to_owned),
            is_entered: false,
            is_ok: false,
            has_failed: false,
            is_cancelled: false,
            codes_declared: codes.collect(),
            codes_seen: Vec::new(),
            codes_never_seen: Vec::new(),
            codes_undeclared: Vec::new(),
        }
    }

    /// Computes what follows from what was declared and seen.
    fn settle(&mut self) {
        self.codes_seen.sort();
        self.codes_seen.dedup();
        let not_in = |codes: &[String], others: &[String]| -> Vec<String> {
            codes.iter().filter(|code| !others.contains(code)).cloned().collect()
        };
        self.codes_never_seen = not_in(&self.codes_declared, &self.codes_seen);
        self.codes_undeclared = match self.codes_declared.is_empty() {
            true => Vec::new(),
            false => not_in(&self.codes_seen, &self.codes_declared),
        };
        // The framework's own are for any function, whatever its error type lists.
        let own = ["panic", LedgerUnavailable::CODE.name(), crate::Code::UNCODED.name()];
        self.codes_undeclared.retain(|code| !own.contains(&code.as_str()));
    }

    /// The function, as a person would name it.
    fn place(&self) -> String {
        format!("{}::{} ({}:{})", self.module, self.function, self.file, self.line)
    }
}

impl Skipped {
    fn of(site: &Site, reason: &str) -> Self {
        Self {
            surface: site.surface.to_owned(),
            module: site.module.to_owned(),
            function: site.function.to_owned(),
            file: site.file.to_owned(),
            line: site.line,
            reason: reason.to_owned(),
        }
    }
}

impl Coverage {
    /// The functions that no process called.
    pub fn never_seen(&self) -> impl Iterator<Item = &SurfaceCoverage> {
        self.surfaces.iter().filter(|surface| !surface.is_entered)
    }

    /// Asks that these surfaces are there: [`check`](Self::check) reports one that no linked function has, so
    /// that removing an attribute does not pass for full coverage.
    #[must_use]
    pub fn require(mut self, surfaces: &[&str]) -> Self {
        self.required.extend(surfaces.iter().map(|surface| (*surface).to_owned()));
        self
    }
}
