//! Reads the log of a ledger from its files, and checks it by the words of `docs/formats.md` alone: none
//! of the library's readers is asked, so that a mistake in them cannot hide one in the writer.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};

/// One line, as far as tests look at it.
#[derive(Debug, Clone)]
pub struct Line {
    /// The line, without its newline.
    pub text: String,
    /// Whether it is an event; else an attempt.
    pub is_event: bool,
    /// The id of its event.
    pub event_id: String,
    /// `tenant/env`.
    pub scope: String,
    /// The surface.
    pub surface: String,
    /// The outcome; empty for an attempt.
    pub outcome: String,
    /// The error code; empty for `ok` and for an attempt.
    pub code: String,
    /// The place in its stream; 0 for an attempt.
    pub seq: u64,
}

impl Line {
    /// The whole line as JSON.
    ///
    /// # Panics
    ///
    /// When it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.text).expect("a line is JSON")
    }
}

impl Line {
    /// A whole number that was captured as an input, found without parsing the line: tests look at hundreds
    /// of thousands.
    ///
    /// # Panics
    ///
    /// When there is none of that name.
    pub fn input_number(&self, name: &str) -> u64 {
        let number = || {
            let (_, input) = self.text.rsplit_once(",\"input\":{")?;
            let (_, value) = input.split_once(&format!("\"{name}\":"))?;
            value[..value.find([',', '}'])?].parse().ok()
        };
        number().unwrap_or_else(|| panic!("no number {name} in the input of {}", self.text))
    }
}

#[derive(Deserialize)]
struct Fields<'a> {
    kind: &'a str,
    ledger_id: &'a str,
    event_id: &'a str,
    tenant_id: &'a str,
    env: &'a str,
    #[serde(default)]
    seq: u64,
    #[serde(default)]
    prev: &'a str,
    surface: &'a str,
    #[serde(default)]
    outcome: &'a str,
    #[serde(borrow)]
    error: Option<ErrorFields<'a>>,
}

#[derive(Deserialize)]
struct ErrorFields<'a> {
    code: &'a str,
}

/// A whole log, checked.
#[derive(Debug)]
pub struct Log {
    /// Its lines, in log order.
    pub lines: Vec<Line>,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The segments of a ledger, in order.
///
/// # Panics
///
/// When the folder cannot be listed.
pub fn segments(ledger: &Path) -> Vec<PathBuf> {
    let folder = ledger.join("log");
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("list {}: {error}", folder.display()));
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("an entry of the log folder").path())
        .filter(|path| path.extension().is_some_and(|end| end == "ndjson"))
        .collect();
    paths.sort();
    paths
}

impl Log {
    /// Reads the log of the ledger in a directory and checks that every line is whole, that each stream
    /// counts from 1 without a gap, that each line holds the hash of the one before it in its stream, and
    /// that no event stands there twice.
    ///
    /// # Panics
    ///
    /// When one of these does not hold; the message names the segment and line.
    pub fn read(ledger: &Path) -> Self {
        let mut lines = Vec::new();
        let mut heads: BTreeMap<String, (u64, String)> = BTreeMap::new();
        let mut ids = HashMap::new();
        for segment in segments(ledger) {
            let bytes = fs::read(&segment).unwrap_or_else(|error| panic!("{}: {error}", segment.display()));
            let text = String::from_utf8(bytes).expect("the log is UTF-8");
            assert!(text.is_empty() || text.ends_with('\n'), "{} ends in a torn line", segment.display());
            for (at, line) in text.lines().enumerate() {
                let place = || format!("{}:{}", segment.display(), at + 1);
                let fields: Fields<'_> =
                    serde_json::from_str(line).unwrap_or_else(|error| panic!("{}: {error}: {line}", place()));
                let read = read_line(line, &fields);
                if read.is_event {
                    let (seq, hash) = heads
                        .entry(read.scope.clone())
                        .or_insert_with(|| (0, genesis(fields.ledger_id, fields.tenant_id, fields.env)));
                    assert_eq!(
                        (fields.seq, fields.prev),
                        (*seq + 1, &**hash),
                        "{} of {}",
                        place(),
                        read.scope
                    );
                    *seq = fields.seq;
                    *hash = hex(&Sha256::digest(line.as_bytes()));
                    if let Some(first) = ids.insert(read.event_id.clone(), lines.len()) {
                        panic!("{}: the event of line {first} again: {line}", place());
                    }
                }
                lines.push(read);
            }
        }
        Self { lines }
    }

    /// The events, in log order.
    pub fn events(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| line.is_event)
    }

    /// The events whose surface begins so, in log order.
    pub fn events_of<'a>(&'a self, surface: &'a str) -> impl Iterator<Item = &'a Line> {
        self.events().filter(move |line| line.surface.starts_with(surface))
    }

    /// What the `ledger.gap` events of each scope say was lost.
    ///
    /// # Panics
    ///
    /// When one of them does not say how many.
    pub fn lost(&self) -> BTreeMap<String, u64> {
        let mut lost = BTreeMap::new();
        for line in self.events_of("ledger.gap") {
            let count = line.json()["input"]["lost"].as_u64().expect("a gap says how many calls were lost");
            *lost.entry(line.scope.clone()).or_default() += count;
        }
        lost
    }
}

fn read_line(text: &str, fields: &Fields<'_>) -> Line {
    Line {
        text: text.to_owned(),
        is_event: match fields.kind {
            "event" => true,
            "attempt" => false,
            other => panic!("a line of kind {other:?}: {text}"),
        },
        event_id: fields.event_id.to_owned(),
        scope: format!("{}/{}", fields.tenant_id, fields.env),
        surface: fields.surface.to_owned(),
        outcome: fields.outcome.to_owned(),
        code: fields.error.as_ref().map(|error| error.code.to_owned()).unwrap_or_default(),
        seq: fields.seq,
    }
}

fn genesis(ledger_id: &str, tenant: &str, env: &str) -> String {
    hex(&Sha256::digest(format!("dataset-events genesis v1\n{ledger_id}\n{tenant}\n{env}\n")))
}

/// The directories of the ledgers in a root, oldest first.
///
/// # Panics
///
/// When the root cannot be listed.
pub fn ledgers(root: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(root).unwrap_or_else(|error| panic!("list {}: {error}", root.display()));
    let mut found: Vec<_> = entries
        .map(|entry| entry.expect("an entry of the root").path())
        .filter(|path| path.join("lock").exists())
        .collect();
    found.sort();
    found
}

/// The one ledger of a root.
///
/// # Panics
///
/// When there is none, or more than one.
pub fn only_ledger(root: &Path) -> PathBuf {
    let found = ledgers(root);
    assert_eq!(found.len(), 1, "expected one ledger in {}: {found:?}", root.display());
    found[0].clone()
}

/// Every file below a directory.
///
/// # Panics
///
/// When a folder cannot be listed.
pub fn files_below(directory: &Path) -> Vec<PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![directory.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in
            fs::read_dir(&folder).unwrap_or_else(|error| panic!("list {}: {error}", folder.display()))
        {
            let path = entry.unwrap_or_else(|error| panic!("list {}: {error}", folder.display())).path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files
}

/// The SHA-256 of every file below a directory but the lock, by path.
///
/// # Panics
///
/// When something there cannot be read.
pub fn file_hashes(directory: &Path) -> BTreeMap<PathBuf, String> {
    let files = files_below(directory).into_iter();
    let files = files.filter(|path| path.file_name().is_some_and(|name| name != "lock"));
    let hashes = files.map(|path| {
        let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path, hex(&Sha256::digest(bytes)))
    });
    hashes.collect()
}
