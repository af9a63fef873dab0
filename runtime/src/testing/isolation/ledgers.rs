//! Looking for canaries in ledgers: every line of the log, and the bytes of the index.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::{Breach, Checked, Tenants};
use crate::index::{INDEX_NAME, log_start};
use crate::ledger::Ledger;
use crate::log::line::hash_line;
use crate::log::reader::{LogReader, RawLine};
use crate::query::ReadParts;
use crate::reader::LedgerReader;

/// What is read of a line of the log.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    ledger_id: Cow<'a, str>,
    #[serde(borrow)]
    tenant_id: Cow<'a, str>,
    #[serde(borrow)]
    env: Cow<'a, str>,
    #[serde(borrow)]
    request_id: Cow<'a, str>,
    #[serde(borrow)]
    outcome: Option<Cow<'a, str>>,
    seq: Option<u64>,
    #[serde(borrow)]
    prev: Option<Cow<'a, str>>,
}

/// Checks a ledger that this process has open.
pub(super) fn open(ledger: &Ledger, tenants: &Tenants, checked: &mut Checked) {
    let name = format!("ledger {}", ledger.id());
    // That somebody reads all scopes is an event, also here.
    drop(ledger.operator("isolation contract: look for what is of another tenant"));
    if let Err(error) = ledger.flush() {
        checked.breaches.push(Breach::Unreadable { place: name, reason: error.to_string() });
        return;
    }
    log(&name, &ledger.read_parts(), tenants, checked);
    if let Some(directory) = ledger.path() {
        if let Err(error) = ledger.owner.index.persist_now() {
            let place = format!("{name}, {INDEX_NAME}");
            checked.breaches.push(Breach::Unreadable { place, reason: error.to_string() });
        }
        index(&name, directory, tenants, checked);
    }
}

/// Checks a ledger's directory as it is.
pub(super) fn directory(path: &Path, tenants: &Tenants, checked: &mut Checked) {
    let name = format!("ledger in {}", path.display());
    match LedgerReader::open(path) {
        Ok(reader) => log(&name, &reader.parts, tenants, checked),
        Err(error) => checked.unreadable(name.clone(), &error),
    }
    index(&name, path, tenants, checked);
}

fn log(name: &str, parts: &ReadParts, tenants: &Tenants, checked: &mut Checked) {
    let (_, until) = parts.source();
    let from = match log_start(&parts.storage) {
        Ok(from) => from,
        Err(error) => return checked.unreadable(name.to_owned(), &error),
    };
    let ledger_id = parts.ledger_id.to_string();
    let mut reader = LogReader::new(parts.storage.clone(), from, until);
    let mut line = RawLine { position: from, bytes: Vec::new(), is_terminated: false };
    // The newest event of each stream: its number and hash.
    let mut heads: HashMap<(String, String), (u64, String)> = HashMap::new();
    loop {
        match reader.next_into(&mut line) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => return checked.unreadable(format!("{name}, {}", line.position), &error),
        }
        checked.lines += 1;
        let place = || format!("{name}, line at {}", line.position);
        let envelope: Envelope<'_> = match serde_json::from_slice(&line.bytes) {
            Ok(envelope) => envelope,
            Err(error) => {
                checked.unreadable(place(), &error);
                continue;
            }
        };
        let owner = tenants.of_scope(&envelope.tenant_id, &envelope.env);
        let is_ok = envelope.outcome.as_deref() == Some("ok");
        if is_ok && let Some(owner) = owner {
            checked.has_ok[owner] = true;
        }
        // Only its request id says of which round an event is.
        let round = owner.and_then(|owner| tenants.all[owner].round_of(&envelope.request_id));
        for found in tenants.owners.find_in(&line.bytes) {
            if owner == Some(found.tenant) {
                if is_ok
                    && !found.is_in_id
                    && let Some(round) = round
                {
                    checked.saw_own(found.tenant, round);
                }
            } else {
                let scope = format!("{}/{}", envelope.tenant_id, envelope.env);
                checked.leak(tenants, &found, format!("{}, an event of {scope}", place()));
            }
        }
        if envelope.ledger_id != ledger_id {
            checked.broken(&place(), format!("it is of ledger {}", envelope.ledger_id));
        }
        if envelope.kind == "event" {
            let stream = (envelope.tenant_id.into_owned(), envelope.env.into_owned());
            let seq = envelope.seq.unwrap_or_default();
            if let Some((before, hash)) = heads.get(&stream)
                && (seq != before + 1 || envelope.prev.as_deref() != Some(hash))
            {
                let (tenant, env) = &stream;
                let what = format!("event {seq} does not follow event {before} of {tenant}/{env}");
                checked.broken(&place(), what);
            }
            heads.insert(stream, (seq, hash_line(&line.bytes).to_string()));
        }
    }
    checked.streams += heads.len();
}

/// No canary is in the index at all: it holds hashes of users, requests and traces.
fn index(name: &str, directory: &Path, tenants: &Tenants, checked: &mut Checked) {
    let path = directory.join(INDEX_NAME);
    match fs::read(&path) {
        Ok(bytes) => {
            checked.index_bytes += bytes.len() as u64;
            for found in tenants.owners.find_in(&bytes) {
                checked.leak(tenants, &found, format!("{name}, {INDEX_NAME}"));
            }
        }
        // An index is disposable; what is not there gives nothing away.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => checked.unreadable(format!("{name}, {INDEX_NAME}"), &error),
    }
}
