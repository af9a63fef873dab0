//! The keys of memory sinks.

use super::Settings;
use crate::config::key::{Key, Takes};
use crate::sinks::Sink;
use crate::sinks::memory::MemorySink;

/// How much is held.
#[derive(Debug, Default)]
pub(crate) struct MaxBytes(Option<usize>);

impl Settings for MaxBytes {
    const KEYS: &'static [Key<Self>] = &[Key {
        name: "max_bytes",
        takes: Takes::Size {
            min: 1,
            max: 1 << 40,
            set: |_, bytes| Self(Some(usize::try_from(bytes).unwrap_or(usize::MAX))),
        },
        default: "",
        what: "How much it holds; what is beyond waits on the ledger's disk. Without it, there is no end",
    }];
    const REFUSES: &'static [(&'static str, &'static str)] =
        &[("required", "it ends with the process, and is no reason to drop a log")];

    fn start() -> Self {
        Self::default()
    }

    fn sink(self) -> Result<Box<dyn Sink>, String> {
        Ok(Box::new(self.0.map_or_else(MemorySink::new, MemorySink::bounded)))
    }
}
