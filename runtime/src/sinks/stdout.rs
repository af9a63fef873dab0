//! A sink that writes lines to the standard output, for programs whose output somebody collects.
//!
//! # What is written
//!
//! A line for each event: the exact bytes that are stored in the log, and a newline. Lines of other kinds are written
//! when the settings name them; each says by its key `kind` what it is. Lines of one batch are not mixed with what
//! else the program prints, and none is ever left half written: what a failed write cut off comes first in the next.
//!
//! # When it is durable
//!
//! Everything is flushed before it is acknowledged: the reader of the output, or the pipe to it, has it then. What the
//! reader does with it is beyond this sink.
//!
//! A stream that was written cannot be looked into, so an entry that comes again (after a kill, a failed write, a
//! replay) stands there again, with the same bytes: **at least once**. Readers drop what they have by `event_id`.
//!
//! # What happens when it is full
//!
//! A reader that does not read fills the pipe, and the write waits; the sink is shown as hanging, nothing else waits.
//! When the reader is gone the sink stops ([`SinkError::Fatal`]).
//!
//! # How to read it back
//!
//! Events of a scope follow one another by `seq` and `prev`, so that a collected stream can be checked with
//! `docs/verify.sh`'s means. Places in the log are not written: to put a ledger together again take
//! [`ndjson`](super::ndjson) or the replica.

use std::fmt;
use std::io::{self, ErrorKind, Write};

use super::{Ack, Entry, EntryKind, Rejected, Sink, SinkError};

/// What a [`StdoutSink`] writes.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct StdoutSettings {
    /// The kinds of entries that are written. Defaults to events alone; others are acknowledged and left out.
    pub kinds: Vec<EntryKind>,
}

impl Default for StdoutSettings {
    fn default() -> Self {
        Self { kinds: vec![EntryKind::Event] }
    }
}

impl StdoutSettings {
    /// Events alone.
    pub fn new() -> Self {
        Self::default()
    }

    /// The kinds of entries that are written.
    #[must_use]
    pub fn kinds(mut self, kinds: impl Into<Vec<EntryKind>>) -> Self {
        self.kinds = kinds.into();
        self
    }
}

/// Writes lines to the standard output, or to another stream. See [the module](self).
///
/// ```
/// use dataset_events::sinks::stdout::{StdoutSettings, StdoutSink};
/// let sink = StdoutSink::new(StdoutSettings::new());
/// # drop(sink);
/// ```
pub struct StdoutSink {
    settings: StdoutSettings,
    to: Box<dyn Write + Send>,
    name: &'static str,
    /// The rest of a line whose beginning was written.
    unfinished: Vec<u8>,
}

impl fmt::Debug for StdoutSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StdoutSink").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl StdoutSink {
    /// Writes to the standard output.
    pub fn new(settings: StdoutSettings) -> Self {
        Self::to("the standard output", io::stdout(), settings)
    }

    /// Writes to another stream, by the name that errors give it.
    pub fn to(name: &'static str, to: impl Write + Send + 'static, settings: StdoutSettings) -> Self {
        Self { settings, to: Box::new(to), name, unfinished: Vec::new() }
    }

    fn failed(&self, error: io::Error) -> SinkError {
        if error.kind() == ErrorKind::BrokenPipe {
            let attempted = format!(
                "write events to {}: nobody reads it any more; start the program with its output read, or take \
                 this sink out",
                self.name
            );
            return SinkError::fatal(attempted, error);
        }
        SinkError::retry(format!("write events to {}", self.name), error)
    }

    /// Writes lines. Where that fails within one, its rest is kept.
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let mut done = 0;
        while done < lines.len() {
            let failed = match self.to.write(&lines[done..]) {
                Ok(0) => io::Error::from(ErrorKind::WriteZero),
                Ok(written) => {
                    done += written;
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => error,
            };
            let is_within_a_line = done > 0 && lines[done - 1] != b'\n';
            if is_within_a_line {
                let end = lines[done..]
                    .iter()
                    .position(|byte| *byte == b'\n')
                    .map_or(lines.len(), |at| done + at + 1);
                self.unfinished = lines[done..end].to_vec();
            }
            return Err(failed);
        }
        Ok(())
    }
}

impl Sink for StdoutSink {
    fn kind(&self) -> &'static str {
        "stdout"
    }

    fn append(&mut self, batch: &[Entry]) -> Result<Ack, SinkError> {
        let unfinished = std::mem::take(&mut self.unfinished);
        let mut done = 0;
        while done < unfinished.len() {
            match self.to.write(&unfinished[done..]) {
                Ok(written) if written > 0 => done += written,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => {
                    self.unfinished = unfinished[done..].to_vec();
                    return Err(self.failed(result.err().unwrap_or_else(|| ErrorKind::WriteZero.into())));
                }
            }
        }
        let (mut lines, mut rejected) = (Vec::new(), Vec::new());
        for (index, entry) in batch.iter().enumerate() {
            if !self.settings.kinds.contains(&entry.kind()) {
                continue;
            }
            let line = entry.line_bytes();
            if line.contains(&b'\n') {
                rejected.push(Rejected::new(index, "it has a newline inside, so that it is no line"));
                continue;
            }
            lines.extend_from_slice(line);
            lines.push(b'\n');
        }
        let written = self.write(&lines).and_then(|()| self.to.flush());
        written.map_err(|error| self.failed(error))?;
        Ok(Ack::all().with_rejected(rejected))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::log::LogPosition;

    /// Takes so many bytes, then fails once; and so on.
    struct Stuttering {
        written: Arc<Mutex<Vec<u8>>>,
        room: usize,
        step: usize,
        kind: ErrorKind,
    }

    impl Write for Stuttering {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.room == 0 {
                self.room = self.step;
                return Err(self.kind.into());
            }
            let taken = bytes.len().min(self.room);
            self.room -= taken;
            self.written.lock().unwrap().extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn batch() -> Vec<Entry> {
        let ledger_id = "0190b5a0-0000-7000-8000-000000000001".parse().unwrap();
        let line = |number: u64| format!("{{\"number\":{number}}}").into_bytes();
        (1..20).map(|number| Entry::checkpoint(ledger_id, number, LogPosition::START, line(number))).collect()
    }

    #[test]
    fn a_write_that_fails_leaves_no_line_torn() {
        for step in 1..60 {
            let written = Arc::new(Mutex::new(Vec::new()));
            let to =
                Stuttering { written: Arc::clone(&written), room: step, step, kind: ErrorKind::WouldBlock };
            let mut sink = StdoutSink::to("a pipe", to, StdoutSettings::new().kinds([EntryKind::Checkpoint]));
            // What fails starts over, so short steps never get through: enough calls that long ones do.
            for _ in 0..40 {
                if let Err(error) = sink.append(&batch()) {
                    assert!(matches!(error, SinkError::Retry { .. }), "{error:?}");
                    assert_eq!(error.to_string(), "write events to a pipe");
                }
            }
            let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
            let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
            for line in whole.lines() {
                let number: u64 =
                    line.strip_prefix("{\"number\":").unwrap().trim_end_matches('}').parse().unwrap();
                assert!((1..20).contains(&number) && line.ends_with('}'), "steps of {step}: {line}");
            }
        }
    }

    #[test]
    fn a_reader_that_is_gone_stops_the_sink() {
        let to = Stuttering { written: Arc::default(), room: 0, step: 0, kind: ErrorKind::BrokenPipe };
        let mut sink = StdoutSink::to("a pipe", to, StdoutSettings::new().kinds([EntryKind::Checkpoint]));
        let error = sink.append(&batch()).unwrap_err();
        assert!(matches!(error, SinkError::Fatal { .. }), "{error:?}");
        assert!(error.to_string().contains("nobody reads it any more; start the program"), "{error}");
    }

    #[test]
    fn what_is_no_line_is_rejected_alone() {
        let written = Arc::new(Mutex::new(Vec::new()));
        let to = Stuttering { written: Arc::clone(&written), room: 9_999, step: 0, kind: ErrorKind::Other };
        let mut sink = StdoutSink::to("a pipe", to, StdoutSettings::new().kinds([EntryKind::Checkpoint]));
        let ledger_id = "0190b5a0-0000-7000-8000-000000000001".parse().unwrap();
        let mut batch = batch();
        batch[3] = Entry::checkpoint(ledger_id, 4, LogPosition::START, b"{\"number\":\n4}".to_vec());
        let ack = sink.append(&batch).unwrap();
        assert_eq!(ack.rejected.iter().map(|one| one.index).collect::<Vec<_>>(), [3]);
        let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 18);
    }
}
