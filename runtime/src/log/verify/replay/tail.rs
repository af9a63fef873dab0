//! Lines behind the newest checkpoint.

use serde::Deserialize;

use super::Replay;
use crate::event::{DatasetEvent, Writer};
use crate::log::LogPosition;
use crate::log::verify::finding::{Finding, Verdict};
use crate::surface::{Access, Guarantee};

/// The keys that every line of kind `attempt` has behind its prefix.
#[derive(Deserialize)]
struct AttemptShape {
    surface: String,
    #[serde(rename = "access")]
    _access: Access,
    #[serde(rename = "guarantee")]
    _guarantee: Guarantee,
    #[serde(rename = "started_at")]
    _started_at: i64,
    writer: Writer,
}

impl Replay<'_> {
    /// No signature vouches for the bytes of these lines, so they are read as a whole.
    pub(super) fn check_tail_line(&mut self, line: &[u8], at: LogPosition, is_event: bool) -> Option<String> {
        let read = match is_event {
            true => {
                serde_json::from_slice(line).map(|DatasetEvent { surface, writer, .. }| (surface, writer))
            }
            false => {
                serde_json::from_slice(line).map(|AttemptShape { surface, writer, .. }| (surface, writer))
            }
        };
        let (surface, writer) = match read {
            Ok(read) => read,
            Err(error) => return Some(error.to_string()),
        };
        let newest = self.newest?;
        // Recovery writes events of its own before the checkpoint that opens its epoch, and may die between.
        let is_opened = writer.epoch <= newest.epoch || surface.starts_with("ledger.");
        if !is_opened && !std::mem::replace(&mut self.is_epoch_reported, true) {
            let message = format!(
                "lines were written in epoch {}, and no checkpoint after epoch {} opens it",
                writer.epoch, newest.epoch
            );
            let finding = Finding::new(Verdict::CheckpointMissing, message);
            self.push(finding.at(at).checkpoint(newest.head.number + 1));
        }
        None
    }
}
