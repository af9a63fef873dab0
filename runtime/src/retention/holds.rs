//! Legal holds: scopes of which nothing is dropped.
//!
//! A hold is a line in `holds.json`, which is replaced as a whole and fsynced, and an event in `$system`. It is in the
//! file before its event, and stays there until the event of its release is durable: a death in between holds on.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{Kept, Retention, RetentionError, State, failed};
use crate::context::write_json_str;
use crate::event::SCHEMA_VERSION;
use crate::ids::{LedgerId, Scope};
use crate::ledger::{CutWait, Ledger, OwnEvent, lock};
use crate::log::line::LinePrefix;
use crate::log::reader::{LogReader, RawLine};
use crate::log::storage::Storage;
use crate::log::{LogPosition, segment_name};

/// The file of holds, relative to the ledger's directory.
const HOLDS_NAME: &str = "holds.json";
const MAX_REASON_BYTES: usize = 1024;
const EVENT_DEADLINE: Duration = Duration::from_secs(30);

/// A scope of which nothing is dropped, whatever its age.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Hold {
    /// The scope.
    pub scope: Scope,
    /// Why it is held.
    pub reason: String,
    /// Since when, in microseconds since 1970 (UTC).
    pub since: i64,
}

#[derive(Serialize, Deserialize)]
struct File {
    schema_version: u32,
    kind: String,
    ledger_id: LedgerId,
    holds: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    tenant_id: String,
    env: String,
    reason: String,
    since: i64,
}

/// Reads the holds. What cannot be understood is an error: nothing is dropped while it may be held.
pub(super) fn read(storage: &dyn Storage, ledger_id: LedgerId) -> Result<Vec<Hold>, RetentionError> {
    let bytes = storage.read(HOLDS_NAME).map_err(failed("read", HOLDS_NAME))?;
    let Some(bytes) = bytes else { return Ok(Vec::new()) };
    let malformed = |reason: String| RetentionError::Holds { reason: format!("{HOLDS_NAME}: {reason}") };
    let file: File = serde_json::from_slice(&bytes).map_err(|error| malformed(error.to_string()))?;
    if file.schema_version != SCHEMA_VERSION || file.ledger_id != ledger_id {
        return Err(malformed("it is of another version or of another ledger".to_owned()));
    }
    let hold = |entry: Entry| match Scope::from_stored(&entry.tenant_id, &entry.env) {
        Ok(scope) => Ok(Hold { scope, reason: entry.reason, since: entry.since }),
        Err(error) => Err(malformed(error.to_string())),
    };
    file.holds.into_iter().map(hold).collect()
}

fn write(storage: &dyn Storage, ledger_id: LedgerId, holds: &[Hold]) -> Result<(), RetentionError> {
    let entry = |hold: &Hold| Entry {
        tenant_id: hold.scope.tenant_id().to_string(),
        env: hold.scope.env().to_string(),
        reason: hold.reason.clone(),
        since: hold.since,
    };
    let holds = holds.iter().map(entry).collect();
    let file = File { schema_version: SCHEMA_VERSION, kind: "holds".to_owned(), ledger_id, holds };
    let mut bytes = serde_json::to_vec(&file)
        .map_err(|error| failed("encode", HOLDS_NAME)(std::io::Error::other(error)))?;
    bytes.push(b'\n');
    storage.replace(HOLDS_NAME, &bytes).map_err(failed("write", HOLDS_NAME))
}

impl Retention {
    /// What keeps a segment because a scope is held that has a line in it.
    pub(super) fn held(
        &self,
        state: &mut State,
        holds: &[Hold],
        segment: u32,
    ) -> Result<Option<Kept>, RetentionError> {
        let is_held = |scope: &Scope| holds.iter().any(|hold| hold.scope == *scope);
        if holds.is_empty() {
            return Ok(None);
        }
        // A hold that keeps a segment does so for months: it is not read each minute.
        if let Some((known, scope)) =
            state.held.as_ref().filter(|(known, scope)| *known == segment && is_held(scope))
        {
            return Ok(Some(Kept::Held { segment: *known, scope: scope.clone() }));
        }
        let name = segment_name(segment);
        let len =
            self.storage.open(&name, false).and_then(|file| file.len()).map_err(failed("read", &name))?;
        let (from, until) = (LogPosition { segment, offset: 0 }, LogPosition { segment, offset: len });
        let mut reader = LogReader::new(self.storage.clone(), from, until);
        let mut line = RawLine { position: from, bytes: Vec::new(), is_terminated: false };
        while reader.next_into(&mut line).map_err(failed("read", &name))? {
            let (tenant_id, env) = match LinePrefix::parse(&line.bytes) {
                Some(
                    LinePrefix::Event { tenant_id, env, .. } | LinePrefix::Attempt { tenant_id, env, .. },
                ) => (tenant_id, env),
                None => continue,
            };
            let is_of = |hold: &&Hold| *hold.scope.tenant_id() == *tenant_id && *hold.scope.env() == *env;
            if let Some(hold) = holds.iter().find(is_of) {
                state.held = Some((segment, hold.scope.clone()));
                return Ok(Some(Kept::Held { segment, scope: hold.scope.clone() }));
            }
        }
        Ok(None)
    }

    /// Records an event of the ledger's own and waits until it is durable.
    fn tell_of_hold(&self, surface: &str, scope: &Scope, reason: &str) -> Result<(), RetentionError> {
        let mut input = b"{\"tenant_id\":".to_vec();
        write_json_str(&mut input, scope.tenant_id().as_str());
        input.extend_from_slice(b",\"env\":");
        write_json_str(&mut input, scope.env().as_str());
        input.extend_from_slice(b",\"reason\":");
        write_json_str(&mut input, reason);
        input.push(b'}');
        self.shared.own_event(&OwnEvent::system(surface, &String::from_utf8_lossy(&input)));
        let cut = self.shared.signal.request_cut();
        match self.shared.signal.wait_for_cut(cut, Some(Instant::now() + EVENT_DEADLINE)) {
            CutWait::Done if !self.shared.has_failed() => Ok(()),
            _ => Err(RetentionError::Holds { reason: format!("the event {surface} is not durable yet") }),
        }
    }
}

fn bounded(reason: &str) -> &str {
    &reason[..reason.floor_char_boundary(MAX_REASON_BYTES)]
}

impl Ledger {
    /// Places a legal hold: from now on no segment that holds a line of this scope is dropped, nor any behind it. The
    /// hold is durable when this returns, and an event `ledger.hold_placed` of `$system`. What was dropped before is
    /// gone. The reason is cut at 1 KiB. A scope that is held already stays held, under the reason it had.
    ///
    /// # Errors
    ///
    /// [`RetentionError`] when it could not be made durable. When only its event could not, the hold is in force.
    pub fn hold(&self, scope: &Scope, reason: &str) -> Result<(), RetentionError> {
        let retention = &self.owner.retention;
        let _alone = lock(&retention.state);
        let mut holds = read(&*retention.storage, self.id())?;
        if holds.iter().any(|hold| hold.scope == *scope) {
            return Ok(());
        }
        let reason = bounded(reason);
        holds.push(Hold { scope: scope.clone(), reason: reason.to_owned(), since: retention.now() });
        write(&*retention.storage, self.id(), &holds)?;
        retention.tell_of_hold("ledger.hold_placed", scope, reason)
    }

    /// Releases a legal hold; false when the scope was not held. It is an event `ledger.hold_released` of `$system`
    /// before anything may be dropped. The reason is cut at 1 KiB.
    ///
    /// # Errors
    ///
    /// [`RetentionError`]; the hold is still in force.
    pub fn release(&self, scope: &Scope, reason: &str) -> Result<bool, RetentionError> {
        let retention = &self.owner.retention;
        let _alone = lock(&retention.state);
        let mut holds = read(&*retention.storage, self.id())?;
        let before = holds.len();
        holds.retain(|hold| hold.scope != *scope);
        if holds.len() == before {
            return Ok(false);
        }
        retention.tell_of_hold("ledger.hold_released", scope, bounded(reason))?;
        write(&*retention.storage, self.id(), &holds)?;
        Ok(true)
    }

    /// The legal holds in force, oldest first.
    ///
    /// # Errors
    ///
    /// [`RetentionError::Holds`] when the file of holds cannot be understood: nothing is dropped then.
    pub fn holds(&self) -> Result<Vec<Hold>, RetentionError> {
        read(&*self.owner.storage, self.id())
    }
}
