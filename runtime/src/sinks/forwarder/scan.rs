//! Places in the log that an operator names.

use std::io;
use std::sync::Arc;

use crate::ids::Scope;
use crate::log::line::LinePrefix;
use crate::log::reader::{LogReader, RawLine};
use crate::log::storage::Storage;
use crate::log::{LogPosition, segment_name};

fn empty_line() -> RawLine {
    RawLine { position: LogPosition::START, bytes: Vec::new(), is_terminated: false }
}

/// How many events lie between two places.
pub(super) fn count_events(
    storage: &Arc<dyn Storage>,
    from: LogPosition,
    until: LogPosition,
) -> io::Result<u64> {
    let mut reader = LogReader::new(Arc::clone(storage), from, until);
    let (mut line, mut events) = (empty_line(), 0);
    while reader.next_into(&mut line)? {
        events += u64::from(line.bytes.starts_with(b"{\"schema_version\":1,\"kind\":\"event\""));
    }
    Ok(events)
}

/// Where the line of an event begins; `None` when it is not there.
pub(super) fn find_event(
    storage: &Arc<dyn Storage>,
    scope: &Scope,
    seq: u64,
    from: LogPosition,
    until: LogPosition,
) -> io::Result<Option<LogPosition>> {
    let mut reader = LogReader::new(Arc::clone(storage), from, until);
    let mut line = empty_line();
    while reader.next_into(&mut line)? {
        if let Some(LinePrefix::Event { tenant_id, env, seq: found, .. }) = LinePrefix::parse(&line.bytes)
            && found == seq
            && tenant_id == scope.tenant_id().as_str()
            && env == scope.env().as_str()
        {
            return Ok(Some(line.position));
        }
    }
    Ok(None)
}

/// The beginning of the line that holds a place.
pub(super) fn line_start(storage: &Arc<dyn Storage>, position: LogPosition) -> io::Result<LogPosition> {
    const CHUNK_BYTES: u64 = 256 * 1024;
    let file = storage.open(&segment_name(position.segment), false)?;
    let mut end = position.offset.min(file.len()?);
    while end > 0 {
        let start = end.saturating_sub(CHUNK_BYTES);
        let mut chunk = vec![0; usize::try_from(end - start).map_err(io::Error::other)?];
        let read = file.read_at(start, &mut chunk)?;
        if let Some(at) = chunk[..read].iter().rposition(|byte| *byte == b'\n') {
            return Ok(LogPosition { offset: start + at as u64 + 1, ..position });
        }
        end = start;
    }
    Ok(LogPosition { offset: 0, ..position })
}
