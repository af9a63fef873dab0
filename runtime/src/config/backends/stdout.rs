//! The keys of sinks that write to the standard output.

use super::Settings;
use crate::config::key::{Key, Takes};
use crate::sinks::stdout::{StdoutSettings, StdoutSink};
use crate::sinks::{EntryKind, Sink};

const ALL: [EntryKind; 6] = [
    EntryKind::Identity,
    EntryKind::Event,
    EntryKind::Attempt,
    EntryKind::HeadTable,
    EntryKind::Checkpoint,
    EntryKind::Cut,
];

impl Settings for StdoutSettings {
    const KEYS: &'static [Key<Self>] = &[Key {
        name: "kinds",
        takes: Takes::Texts {
            bound: "`identity`, `event`, `attempt`, `head_table`, `checkpoint`, `cut`",
            set: |settings, names| {
                let kind = |name: &String| {
                    let known = ALL.into_iter().find(|kind| kind.as_str() == name);
                    known.ok_or_else(|| format!("there is no kind of entry `{name}`"))
                };
                Ok(settings.kinds(names.iter().map(kind).collect::<Result<Vec<_>, _>>()?))
            },
        },
        default: "event",
        what: "The kinds of entries that are written",
    }];
    const REFUSES: &'static [(&'static str, &'static str)] =
        &[("required", "nobody can say whether it was kept, and that is no reason to drop a log")];

    fn start() -> Self {
        Self::new()
    }

    fn sink(self) -> Result<Box<dyn Sink>, String> {
        Ok(Box::new(StdoutSink::new(self)))
    }
}
