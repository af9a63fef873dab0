//! The keys of the table `ledger`.

use std::time::Duration;

use super::key::{Key, Takes};
use crate::ledger::{LedgerOptions, OnUnavailable};

const fn key(
    name: &'static str,
    takes: Takes<LedgerOptions>,
    default: &'static str,
    what: &'static str,
) -> Key<LedgerOptions> {
    Key { name, takes, default, what }
}

/// A text that stands in every line.
fn bounded(text: &str, max_bytes: usize) -> Result<(), String> {
    if text.len() > max_bytes {
        return Err(format!("it has {} bytes", text.len()));
    }
    match text.chars().find(|char| char.is_control()) {
        Some(_) => Err("it has a control character".to_owned()),
        None => Ok(()),
    }
}

/// What the ledger is opened with.
pub(crate) static LEDGER_KEYS: &[Key<LedgerOptions>] = &[
    key(
        "root",
        Takes::Path(|options, root| options.root(root)),
        "var/dataset-events",
        "The root: a directory of ledgers",
    ),
    key(
        "service",
        Takes::Checked {
            bound: "at most 64 bytes, no control characters",
            set: |options, name| bounded(&name, 64).map(|()| options.service_name(name)),
        },
        "",
        "The service's name: in every event, and by it a service finds its own ledger again; without one, the \
         executable's name stands in events",
    ),
    key(
        "version",
        Takes::Checked {
            bound: "at most 64 bytes, no control characters",
            set: |options, version| bounded(&version, 64).map(|()| options.service_version(version)),
        },
        "",
        "The service's version, in every event; without one, `0`",
    ),
    key(
        "build_id",
        Takes::Checked {
            bound: "at most 128 bytes, no control characters",
            set: |options, build_id| bounded(&build_id, 128).map(|()| options.build_id(build_id)),
        },
        "",
        "The build: a commit or an image digest, in every event",
    ),
    key(
        "instance",
        Takes::Checked {
            bound: "at most 128 bytes, no control characters",
            set: |options, instance| bounded(&instance, 128).map(|()| options.instance(instance)),
        },
        "",
        "The running instance, in every event; without one, host name and process id",
    ),
    key(
        "journal_dir",
        Takes::Path(|options, directory| options.journal_dir(directory)),
        "",
        "Where the journal lies, when not in the ledger's directory; on tmpfs a recorded event survives the process \
         only, not the host",
    ),
    key(
        "journal_bytes",
        Takes::Size {
            min: 1 << 20,
            max: 1 << 30,
            set: |options, bytes| options.journal_bytes(usize::try_from(bytes).unwrap_or(usize::MAX)),
        },
        "64MiB",
        "The size of the journal: what can wait for the disk before calls are shed",
    ),
    key(
        "segment_bytes",
        Takes::Size { min: 64 << 10, max: 64 << 30, set: |options, bytes| options.segment_bytes(bytes) },
        "64MiB",
        "The size at which a segment of the log ends; retention drops whole segments",
    ),
    key(
        "group_interval",
        Takes::Time {
            min: Duration::from_millis(1),
            max: Duration::from_secs(10),
            set: |options, interval| options.group_interval(interval),
        },
        "50ms",
        "The longest that recorded events wait for their fdatasync",
    ),
    key(
        "on_unavailable",
        Takes::Choice {
            names: &["refuse_start", "memory"],
            set: |options, choice| {
                options.on_unavailable(match choice {
                    "memory" => OnUnavailable::Memory,
                    _ => OnUnavailable::RefuseStart,
                })
            },
        },
        "refuse_start",
        "What to do when the disk cannot hold a ledger: not to start, or to keep events in memory, where they end \
         with the process",
    ),
    key(
        "accept_loss",
        Takes::Flag(|options, accept_loss| options.accept_loss(accept_loss)),
        "false",
        "Goes on with a log that is shorter than its newest checkpoint; the loss becomes an event",
    ),
    key(
        "keep_for",
        Takes::Time {
            min: Duration::from_secs(1),
            max: Duration::from_secs(36_500 * 86_400),
            set: |options, age| options.keep_for(age),
        },
        "",
        "Drops segments of the log that are older, under a signed cut, once all required sinks have them; without it, \
         everything is kept",
    ),
    key(
        "drop_without_copy",
        Takes::Flag(|options, is_accepted| options.drop_without_copy(is_accepted)),
        "false",
        "Accepts that `keep_for` drops what no sink holds",
    ),
    key(
        "max_disk_bytes",
        Takes::Size { min: 1 << 20, max: 1 << 50, set: |options, bytes| options.max_disk_bytes(bytes) },
        "",
        "A cap on what the ledger's directory may use: at 80 % there is a warning, at the cap the ledger behaves as on a \
         full disk; without it, there is none",
    ),
];
