//! A folded state with what it was folded from, and its form on disk.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::ReadModel;
use crate::event::LineHash;
use crate::ids::{LedgerId, Scope};

/// Raised whenever the form of the file changes; files of another form are not used.
const FORMAT: u32 = 1;
const DIGEST_LEN: usize = 64;

/// How far one ledger was folded: its last event that was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LedgerCursor {
    /// The sequence number in the ledger's stream of the scope.
    pub seq: u64,
    /// The hash of the event's line: what `prev` of the next one must be.
    pub hash: LineHash,
}

/// Events of a ledger that a state lacks, because they were dropped before they were folded into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Missing {
    /// How many.
    pub events: u64,
    /// When the newest of them was recorded, in microseconds since 1970 (UTC).
    pub until: i64,
}

/// A folded state, and how far each ledger was folded into it.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Snapshot<S> {
    /// The state.
    pub state: S,
    /// How far each ledger was folded.
    pub ledgers: BTreeMap<LedgerId, LedgerCursor>,
    /// When the newest event that was read was recorded, in microseconds since 1970 (UTC).
    pub as_of: Option<i64>,
    /// How many events were read, whether the model selects them or not.
    pub events: u64,
    /// What the state lacks of each ledger; empty when it is what folding every event from the first gives.
    pub missing: BTreeMap<LedgerId, Missing>,
}

#[derive(Serialize, Deserialize)]
struct File<S> {
    format: u32,
    tenant_id: String,
    env: String,
    model: String,
    version: u32,
    config: String,
    ledgers: BTreeMap<LedgerId, LedgerCursor>,
    as_of: Option<i64>,
    events: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    missing: BTreeMap<LedgerId, Missing>,
    state: S,
}

impl<S: Serialize + DeserializeOwned + Clone> Snapshot<S> {
    /// The file's bytes: the SHA-256 of the rest, a newline, one JSON object and a newline.
    pub(super) fn encode<M: ReadModel<State = S>>(
        &self,
        model: &M,
        scope: &Scope,
    ) -> Result<Vec<u8>, serde_json::Error> {
        let file = File {
            format: FORMAT,
            tenant_id: scope.tenant_id().to_string(),
            env: scope.env().to_string(),
            model: M::NAME.to_owned(),
            version: M::VERSION,
            config: model.config().into_owned(),
            ledgers: self.ledgers.clone(),
            as_of: self.as_of,
            events: self.events,
            missing: self.missing.clone(),
            state: &self.state,
        };
        let mut bytes = vec![0; DIGEST_LEN];
        bytes.push(b'\n');
        serde_json::to_writer(&mut bytes, &file)?;
        bytes.push(b'\n');
        let digest = digest(&bytes[DIGEST_LEN + 1..]);
        bytes[..DIGEST_LEN].copy_from_slice(digest.to_string().as_bytes());
        Ok(bytes)
    }

    /// Reads a file; the error says why it is not used.
    pub(super) fn decode<M: ReadModel<State = S>>(
        bytes: &[u8],
        model: &M,
        scope: &Scope,
    ) -> Result<Self, String> {
        let (head, body) = bytes.split_at_checked(DIGEST_LEN + 1).ok_or("it is torn")?;
        let stated = std::str::from_utf8(head).ok().and_then(|head| head.strip_suffix('\n')?.parse().ok());
        if stated != Some(digest(body)) {
            return Err("it is torn, or was changed: its checksum is wrong".into());
        }
        let file: File<Box<RawValue>> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        if file.format != FORMAT {
            return Err(format!("its form is {}, not {FORMAT}", file.format));
        }
        if *scope.tenant_id() != *file.tenant_id || *scope.env() != *file.env {
            return Err("it is of another scope".into());
        }
        let (wanted, config) = ((M::NAME, M::VERSION), model.config());
        if (&*file.model, file.version) != wanted {
            return Err(format!(
                "it is of {} version {}, not of {} version {}",
                file.model, file.version, wanted.0, wanted.1
            ));
        }
        if file.config != config {
            return Err("it was made with another config".into());
        }
        let state = serde_json::from_str(file.state.get()).map_err(|error| error.to_string())?;
        let File { ledgers, as_of, events, missing, .. } = file;
        Ok(Self { state, ledgers, as_of, events, missing })
    }
}

fn digest(bytes: &[u8]) -> LineHash {
    LineHash(Sha256::digest(bytes).into())
}
