//! What follows a cut: the event that tells of it, a note that this is durable, and the removal of files.

use std::io;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::context::write_json_str;
use crate::log::LogPosition;
use crate::log::cut::{Cut, StoredCut};
use crate::log::line::LinePrefix;
use crate::log::reader::LogReader;
use crate::log::storage::Storage;

/// The surface of the event that tells of a cut.
pub(crate) const CUT_SURFACE: &str = "ledger.cut";

/// Holds the number of the newest cut whose event is durable.
const TOLD_NAME: &str = "cuts.told";

/// The input of the event that tells of a cut.
pub(crate) fn cut_event_input(stored: &StoredCut) -> String {
    let cut = &stored.cut;
    let first = cut.segments.first().map_or(0, |first| first.segment);
    let last = cut.segments.last().map_or(0, |last| last.segment);
    let mut held_by = Vec::new();
    for name in &cut.held_by {
        held_by.push(if held_by.is_empty() { b'[' } else { b',' });
        write_json_str(&mut held_by, name);
    }
    held_by.extend_from_slice(if held_by.is_empty() { b"[]" } else { b"]" });
    format!(
        "{{\"cut\":{},\"hash\":\"{}\",\"first_segment\":{first},\"last_segment\":{last},\"bytes\":{},\"events\":{},\
         \"checkpoint\":{},\"keep_for_s\":{},\"held_by\":{}}}",
        cut.number,
        stored.hash,
        cut.dropped_bytes(),
        cut.events,
        cut.checkpoint.number,
        cut.keep_for_s,
        String::from_utf8_lossy(&held_by)
    )
}

/// Whether a part of the log has the event that tells of a cut.
pub(crate) fn is_cut_event(
    storage: &Arc<dyn Storage>,
    number: u64,
    from: LogPosition,
    until: LogPosition,
) -> io::Result<bool> {
    #[derive(Deserialize)]
    struct Event<'a> {
        surface: &'a str,
        #[serde(borrow)]
        input: Option<&'a RawValue>,
    }
    #[derive(Deserialize)]
    struct Input {
        cut: u64,
    }
    if from >= until {
        return Ok(false);
    }
    let mut reader = LogReader::new(Arc::clone(storage), from, until);
    while let Some(line) = reader.next_line()? {
        let Some(LinePrefix::Event { tenant_id: "$system", .. }) = LinePrefix::parse(&line.bytes) else {
            continue;
        };
        let Ok(event) = serde_json::from_slice::<Event<'_>>(&line.bytes) else { continue };
        let input = event.input.filter(|_| event.surface == CUT_SURFACE);
        let input = input.and_then(|input| serde_json::from_str::<Input>(input.get()).ok());
        if input.is_some_and(|input| input.cut == number) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The number of the newest cut whose event is known to be durable; 0 for none.
pub(crate) fn told(storage: &dyn Storage) -> io::Result<u64> {
    let bytes = storage.read(TOLD_NAME)?;
    let number = bytes.and_then(|bytes| std::str::from_utf8(&bytes).ok()?.trim_end().parse().ok());
    // What cannot be read is looked for in the log.
    Ok(number.unwrap_or(0))
}

/// Notes that the event that tells of a cut is durable.
pub(crate) fn mark_told(storage: &dyn Storage, number: u64) -> io::Result<()> {
    storage.replace(TOLD_NAME, format!("{number}\n").as_bytes())
}

/// Removes the segments before a cut, oldest first, and the head tables that no cut names any more. Returns how
/// many files there were.
pub(crate) fn remove_dropped(storage: &dyn Storage, cut: &Cut) -> io::Result<u64> {
    let mut names = Vec::new();
    for name in storage.list("log")? {
        let number = |suffix| name.strip_suffix(suffix)?.parse::<u32>().ok();
        let is_dropped = match (number(".ndjson"), number(".heads.json")) {
            (Some(segment), _) => segment < cut.position.segment,
            (None, Some(segment)) => segment < cut.table_segment(),
            (None, None) => false,
        };
        if is_dropped {
            names.push(format!("log/{name}"));
        }
    }
    for name in &names {
        storage.remove(name)?;
    }
    if !names.is_empty() {
        storage.sync_folder("log")?;
    }
    Ok(names.len() as u64)
}
