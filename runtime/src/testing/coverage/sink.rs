//! The file that a process writes its coverage to, where `DATASET_EVENTS_COVERAGE` names a directory.
//!
//! Opened at the first thing that is seen. It begins with the program and its registry; each thing seen for the
//! first time is one more line, in one append, so that a kill loses nothing and a forked child may share the file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use super::SurfaceCoverage;
use super::build::Build;
use crate::surface::{SITES, Site};

/// The variable that names the directory.
pub(crate) const VARIABLE: &str = "DATASET_EVENTS_COVERAGE";

/// What is seen of a surface.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Sighting<'a> {
    Entered,
    Ok,
    Failed,
    Cancelled,
    Code(&'a str),
}

/// One line of a file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Line {
    /// Which program writes; the first line.
    Program { build: Build },
    /// A function of the registry.
    Surface { id: usize, about: SurfaceCoverage },
    /// A skipped method.
    Skipped { about: super::Skipped },
    /// What was seen of the function `id`.
    Seen {
        id: usize,
        what: What,
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<String>,
    },
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum What {
    Entered,
    Ok,
    Failed,
    Cancelled,
    Code,
}

struct Sink {
    file: File,
    path: PathBuf,
}

static SINK: OnceLock<Option<Sink>> = OnceLock::new();

/// The directory that the environment names.
pub(crate) fn directory() -> Option<PathBuf> {
    std::env::var_os(VARIABLE).filter(|text| !text.is_empty()).map(PathBuf::from)
}

/// Writes what was seen for the first time.
pub(crate) fn note(site: &'static Site, sighting: &Sighting<'_>) {
    let Some(sink) = sink() else { return };
    let Some(id) = SITES.iter().position(|one| std::ptr::eq(*one, site)) else { return };
    let (what, code) = match sighting {
        Sighting::Entered => (What::Entered, None),
        Sighting::Ok => (What::Ok, None),
        Sighting::Failed => (What::Failed, None),
        Sighting::Cancelled => (What::Cancelled, None),
        Sighting::Code(code) => (What::Code, Some((*code).to_owned())),
    };
    let written = encode(&[Line::Seen { id, what, code }]).and_then(|line| (&sink.file).write_all(&line));
    if let Err(error) = written {
        warn_once(&format!("append to {}", sink.path.display()), &error);
    }
}

fn sink() -> Option<&'static Sink> {
    if let Some(sink) = SINK.get() {
        return sink.as_ref();
    }
    // Not inside the lock's initialiser: the lists of codes are the program's own code, which may call
    // annotated functions.
    let opened = directory().and_then(|directory| match open(&directory) {
        Ok(sink) => Some(sink),
        Err(error) => {
            warn_once(&format!("write coverage into {}", directory.display()), &error);
            None
        }
    });
    if let Err(Some(second)) = SINK.set(opened) {
        // Another thread was first. Nothing was seen in this file.
        let _ = fs::remove_file(&second.path);
    }
    SINK.get()?.as_ref()
}

fn open(directory: &Path) -> io::Result<Sink> {
    fs::create_dir_all(directory)?;
    let mut lines = vec![Line::Program { build: Build::of_this_process()? }];
    lines.extend(registry());
    let bytes = encode(&lines)?;
    // Ids of processes come back; names must not.
    let name = format!("{}-{}.ndjson", std::process::id(), crate::id_source::request_id(None));
    let path = directory.join(name);
    let mut file = OpenOptions::new().append(true).create_new(true).open(&path)?;
    file.write_all(&bytes)?;
    Ok(Sink { file, path })
}

/// The registry of this process, as lines. Nothing in it was seen yet.
pub(crate) fn registry() -> Vec<Line> {
    let lines = SITES.iter().enumerate().map(|(id, site)| match site.skip {
        Some(reason) => Line::Skipped { about: super::Skipped::of(site, reason) },
        None => Line::Surface { id, about: SurfaceCoverage::of(site) },
    });
    lines.collect()
}

fn encode(lines: &[Line]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for line in lines {
        serde_json::to_writer(&mut bytes, line)?;
        bytes.push(b'\n');
    }
    Ok(bytes)
}

#[cold]
fn warn_once(attempted: &str, error: &io::Error) {
    static WARNED: AtomicBool = AtomicBool::new(false);
    if !WARNED.swap(true, Ordering::Relaxed) {
        eprintln!(
            "dataset-events: cannot {attempted}: {error}. What this process exercises will be missing from \
             the coverage. Set {VARIABLE} to a directory that can be written, or unset it."
        );
    }
}
