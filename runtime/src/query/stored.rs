//! What a query gives back.

use super::ReadError;
use crate::event::{DatasetEvent, LineHash};
use crate::log::LogPosition;
use crate::log::heads::StreamHead;
use crate::log::line::hash_line;

/// An event with the bytes it was read from.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct StoredEvent {
    /// The event.
    pub event: DatasetEvent,
    /// The line as it is stored, without its newline: what is hashed and chained.
    pub line: String,
    /// Where the line lies.
    pub position: LogPosition,
}

impl StoredEvent {
    pub(super) fn new(position: LogPosition, line: Vec<u8>) -> Result<Self, ReadError> {
        let unreadable = |source| ReadError::Unreadable { position, source };
        let line = String::from_utf8(line).map_err(|error| unreadable(serde::de::Error::custom(error)))?;
        let event = DatasetEvent::from_line(&line).map_err(unreadable)?;
        Ok(Self { event, line, position })
    }

    /// SHA-256 of the line: what `prev` of the next event of the stream holds.
    pub fn hash(&self) -> LineHash {
        hash_line(self.line.as_bytes())
    }

    /// The event as the head of its stream. Kept somewhere else, it shows later that nothing before it was
    /// changed.
    pub fn head(&self) -> StreamHead {
        StreamHead { scope: self.event.scope().clone(), seq: self.event.seq, hash: self.hash() }
    }
}

/// Some events of a query, and where the next ones begin.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Page<C> {
    /// The events, in the order asked for.
    pub events: Vec<StoredEvent>,
    /// What to give to `resume` for the next page; `None` when there are no more.
    pub next: Option<C>,
}
