//! Follows `cuts.ndjson`, which is small and seldom changes.

use std::collections::VecDeque;

use super::follow::ReadFailed;
use super::place::Place;
use crate::log::cut::{CUTS_NAME, CutFile};
use crate::log::storage::Storage;

/// The cuts that a sink has not got. The file is looked at when there may be another one: at the start, behind the event
/// that tells of a cut, and where segments are gone.
#[derive(Debug)]
pub(super) struct CutTail {
    is_due: bool,
    lines: VecDeque<Vec<u8>>,
}

impl Default for CutTail {
    fn default() -> Self {
        Self { is_due: true, lines: VecDeque::new() }
    }
}

impl CutTail {
    /// Looks at the file before anything else.
    pub(super) fn look(&mut self) {
        self.is_due = true;
    }

    /// Whether there may be a cut.
    pub(super) fn may_have_more(&self) -> bool {
        self.is_due || !self.lines.is_empty()
    }

    /// The next line, without its newline, with the place behind it.
    pub(super) fn next(
        &mut self,
        storage: &dyn Storage,
        place: &mut Place,
    ) -> Result<Option<Vec<u8>>, ReadFailed> {
        if self.is_due {
            let file = CutFile::read(storage)
                .map_err(|source| ReadFailed::new(format!("read {CUTS_NAME}"), source))?;
            let known = usize::try_from(place.cuts).unwrap_or(usize::MAX);
            self.lines = file.lines.into_iter().skip(known).collect();
            self.is_due = false;
        }
        let line = self.lines.pop_front();
        place.cuts += u64::from(line.is_some());
        Ok(line)
    }
}
