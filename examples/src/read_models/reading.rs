//! Reading what a surface captured.

use dataset_events::{DatasetEvent, Outcome};
use serde::de::DeserializeOwned;

/// The captured input; `None` when it is absent, was left out, or has another form.
pub(super) fn input<T: DeserializeOwned>(event: &DatasetEvent) -> Option<T> {
    serde_json::from_str(event.input.as_deref()?.get()).ok()
}

/// The captured output; `None` as for [`input`].
pub(super) fn output<T: DeserializeOwned>(event: &DatasetEvent) -> Option<T> {
    serde_json::from_str(event.output.as_deref()?.get()).ok()
}

/// The id of the first source ref of a kind.
pub(super) fn source_ref<'a>(event: &'a DatasetEvent, kind: &str) -> Option<&'a str> {
    event.source_refs.iter().find(|found| found.kind == kind).map(|found| &*found.id)
}

/// How a write ended, as far as a state is concerned.
pub(super) enum Write {
    /// It was made.
    Made,
    /// It was not.
    Refused,
    /// Nobody knows.
    Uncertain,
}

pub(super) fn write(event: &DatasetEvent) -> Write {
    match event.outcome {
        Outcome::Ok => Write::Made,
        Outcome::Panic | Outcome::Cancelled | Outcome::Interrupted => Write::Uncertain,
        _ => Write::Refused,
    }
}
