//! A pass: from what may be dropped to the cut, its event and the removal.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::kept::Kept;
use super::plan::{Anchor, Rules, plan};
use super::prefix::Prefix;
use super::{
    CUT_SURFACE, Retained, Retention, RetentionError, State, cut_event_input, failed, mark_told,
    remove_dropped,
};
use crate::event::LineHash;
use crate::ledger::{CutWait, OwnEvent, lock};
use crate::log::cut::{CUTS_NAME, Cut, CutBody, CutFile, DroppedSegment, StoredCut};
use crate::log::head_table::HeadTable;
use crate::log::heads::Heads;
use crate::log::line::hash_line;
use crate::log::verify::{VerifyOptions, verify_storage};
use crate::log::{LogPosition, head_table_name, segment_name};

/// How long a pass waits for its event to be durable. It is waited for again by the next.
const EVENT_DEADLINE: Duration = Duration::from_secs(10);
const CHUNK_BYTES: usize = 1024 * 1024;

impl Retention {
    pub(super) fn pass(&self, state: &mut State, now: i64) -> Result<Retained, RetentionError> {
        let kept = |kept| Ok(Retained { cut: None, kept });
        if let Some(reason) = &state.failure {
            return kept(Kept::Unavailable { reason: reason.clone() });
        }
        if self.shared.is_closed() || self.shared.has_failed() {
            return kept(Kept::Unavailable { reason: "the ledger is closed, or has failed".to_owned() });
        }
        let cuts = CutFile::read(&*self.storage).map_err(failed("read", CUTS_NAME))?;
        let newest = cuts.newest().map_err(|error| RetentionError::Cuts { reason: error.to_string() })?;
        if let Some(newest) = &newest {
            self.finish(state, newest)?;
        }
        let Some(keep_for) = self.settings.keep_for else { return kept(Kept::Everything) };
        let required = lock(&self.required).as_ref().and_then(|required| required());
        if required.is_none() && !self.settings.drops_without_copy {
            return kept(Kept::NoRequiredSink);
        }
        let (indexed, durable) = self.index.lag();
        let begin = newest.as_ref().map_or(LogPosition::START, |newest| newest.cut.position);
        let keep_us = i64::try_from(keep_for.as_micros()).unwrap_or(i64::MAX);
        let holds = super::holds::read(&*self.storage, self.shared.ledger_id)?;
        let mut rules = Rules {
            older_than: now.saturating_sub(keep_us),
            required: required.as_ref(),
            indexed: self.index.health().is_ok.then_some(indexed),
            hold: &mut |segment| self.held(state, &holds, segment),
        };
        let planned = plan(&self.storage, self.shared.ledger_id, begin, durable, &mut rules)?;
        let Some(anchor) = planned.last else { return kept(planned.kept) };
        if let Some(finding) = self.finding_before(&anchor)? {
            return kept(Kept::NotVerified { finding });
        }
        let heads_before = self.heads_before(newest.as_ref())?;
        if let Err(reason) = self.carry(heads_before.as_ref(), &anchor.heads) {
            return kept(Kept::NotCarried { reason });
        }
        let events = |heads: &Heads| heads.iter().map(|(_, head)| head.seq).sum::<u64>();
        let body = CutBody {
            at: now,
            writer: self.writer()?,
            keep_for_s: keep_for.as_secs(),
            held_by: required.map(|required| required.sinks).unwrap_or_default(),
            position: LogPosition { segment: anchor.end.segment + 1, offset: 0 },
            log_end: durable,
            checkpoint: anchor.checkpoint,
            head_table: anchor.head_table,
            streams: anchor.heads.len(),
            root: anchor.root,
            events: events(&anchor.heads) - heads_before.as_ref().map_or(0, events),
            segments: self.hash_segments(begin.segment, anchor.end)?,
        };
        let stored = self.write(state, &cuts, newest.as_ref(), body)?;
        self.shared.own_event(&OwnEvent::system(CUT_SURFACE, &cut_event_input(&stored)));
        state.untold = Some(stored.cut.number);
        self.finish(state, &stored)?;
        Ok(Retained { cut: Some(stored.cut), kept: planned.kept })
    }

    /// Waits for the event of the newest cut, and removes what lies before it.
    fn finish(&self, state: &mut State, newest: &StoredCut) -> Result<(), RetentionError> {
        if state.untold == Some(newest.cut.number) {
            let deadline = Some(Instant::now() + EVENT_DEADLINE);
            let cut = self.shared.signal.request_cut();
            match self.shared.signal.wait_for_cut(cut, deadline) {
                CutWait::Done if !self.shared.has_failed() => {
                    let number = newest.cut.number;
                    mark_told(&*self.storage, number)
                        .map_err(failed("note what was told of cut", "cuts.told"))?;
                    state.untold = None;
                }
                // On a full disk the event waits for the room that the removal makes.
                CutWait::Stalled => {}
                // The next pass, or the next opening, goes on here.
                _ => return Ok(()),
            }
        }
        let removed = remove_dropped(&*self.storage, &newest.cut);
        if removed.map_err(failed("remove segments before", "the cut"))? > 0 {
            self.index.trim();
        }
        Ok(())
    }

    fn writer(&self) -> Result<crate::event::Writer, RetentionError> {
        serde_json::from_slice(&self.shared.writer_json)
            .map_err(|error| RetentionError::Cuts { reason: format!("name the writer: {error}") })
    }

    /// What does not hold before a place, if anything: it is not dropped, because it is evidence.
    fn finding_before(&self, anchor: &Anchor) -> Result<Option<String>, RetentionError> {
        let prefix =
            Prefix { storage: Arc::clone(&self.storage), end: anchor.end, checkpoint_bytes: anchor.behind };
        let report = verify_storage(&prefix, &VerifyOptions::new()).map_err(RetentionError::Verify)?;
        if let Some(finding) = report.findings.first() {
            return Ok(Some(finding.to_string()));
        }
        let is_whole = report.protected.as_ref().is_some_and(|protected| {
            protected.position == anchor.end && protected.checkpoint == anchor.checkpoint
        });
        Ok((!report.is_verified() || !is_whole).then(|| format!("it is not protected up to {}", anchor.end)))
    }

    /// Has read models saved for each scope of which events are dropped.
    fn carry(&self, before: Option<&Heads>, heads: &Heads) -> Result<(), String> {
        let carried: Vec<_> = lock(&self.carried).iter().filter_map(Weak::upgrade).collect();
        if carried.is_empty() {
            return Ok(());
        }
        let before: HashMap<_, _> = before.into_iter().flat_map(Heads::iter).collect();
        for (scope, head) in heads.iter().filter(|(scope, head)| before.get(scope) != Some(head)) {
            for carry in &carried {
                carry.carry(self.shared.ledger_id, scope, head)?;
            }
        }
        Ok(())
    }

    /// The heads at the cut before.
    fn heads_before(&self, before: Option<&StoredCut>) -> Result<Option<Heads>, RetentionError> {
        let Some(before) = before else { return Ok(None) };
        let name = head_table_name(before.cut.table_segment());
        let bytes = self.storage.read(&name).map_err(failed("read", &name))?;
        let table = bytes.and_then(|bytes| HeadTable::parse(&bytes, self.shared.ledger_id).ok());
        let table = table.ok_or_else(|| RetentionError::Cuts { reason: format!("{name} is not there") })?;
        Ok(Some(table.heads))
    }

    fn hash_segments(&self, first: u32, end: LogPosition) -> Result<Vec<DroppedSegment>, RetentionError> {
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut dropped = Vec::new();
        for segment in first..=end.segment {
            let name = segment_name(segment);
            let file = self.storage.open(&name, false).map_err(failed("read", &name))?;
            let mut hasher = Sha256::new();
            let mut bytes = 0;
            loop {
                let read = file.read_at(bytes, &mut buffer).map_err(failed("read", &name))?;
                if read == 0 {
                    break;
                }
                hasher.update(&buffer[..read]);
                bytes += read as u64;
            }
            dropped.push(DroppedSegment::new(segment, bytes, LineHash(hasher.finalize().into())));
        }
        Ok(dropped)
    }

    /// Writes the cut: from here on the log begins at it.
    fn write(
        &self,
        state: &mut State,
        cuts: &CutFile,
        before: Option<&StoredCut>,
        body: CutBody,
    ) -> Result<StoredCut, RetentionError> {
        let line =
            Cut::seal(self.shared.ledger_id, before, body, &*self.signer).map_err(RetentionError::Sign)?;
        let mut bytes = cuts.bytes();
        bytes.extend_from_slice(&line);
        if let Err(source) = self.storage.replace(CUTS_NAME, &bytes) {
            let is_nothing_written =
                matches!(source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
            if !is_nothing_written {
                state.failure = Some(format!("a cut could not be written, open the ledger again: {source}"));
            }
            return Err(failed("write", CUTS_NAME)(source));
        }
        let line = line[..line.len() - 1].to_vec();
        let cut =
            Cut::from_line(&line).map_err(|error| RetentionError::Cuts { reason: error.to_string() })?;
        Ok(StoredCut { cut, hash: hash_line(&line), line })
    }
}
