//! The newest output of a surface, for each key.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::field::Field;
use super::latest::LatestByKey;
use super::{ReadModel, is_reading};
use crate::event::{DatasetEvent, EventPlace, Outcome};
use crate::ids::EventId;

/// Keeps the newest output of one surface for each value of a key field: the current temperature of each
/// sensor, the current policy of each tenant's tool. Only calls that returned count.
#[derive(Debug, Clone)]
pub struct LatestOutputs {
    surface: String,
    key: Field,
    max_keys: usize,
    config: String,
}

/// The newest output of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LatestOutput {
    /// The event that it came from.
    pub event_id: EventId,
    /// The captured output, as JSON; `null` when nothing was captured.
    pub output: String,
    /// The captured input, as JSON; `null` when nothing was captured.
    pub input: String,
}

impl LatestOutputs {
    /// Follows a surface by a key. At most 10,000 keys are kept, those with the newest outputs.
    pub fn new(surface: impl Into<String>, key: Field) -> Self {
        Self::with_max_keys(surface, key, 10_000)
    }

    /// As [`new`](Self::new), with another bound on keys.
    pub fn with_max_keys(surface: impl Into<String>, key: Field, max_keys: usize) -> Self {
        let surface = surface.into();
        let config = format!("{max_keys} {key:?} {surface:?}");
        Self { surface, key, max_keys, config }
    }
}

fn json(section: Option<&RawValue>) -> String {
    section.map_or("null", RawValue::get).to_owned()
}

impl ReadModel for LatestOutputs {
    type State = LatestByKey<LatestOutput>;
    const NAME: &'static str = "latest_outputs";
    const VERSION: u32 = 1;

    fn config(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.config)
    }

    fn selects(&self, event: &DatasetEvent) -> bool {
        event.surface == self.surface && event.outcome == Outcome::Ok && !is_reading(event)
    }

    fn apply(&self, state: &mut Self::State, event: &DatasetEvent) {
        let Some(key) = self.key.of(event) else { return };
        state.offer(key, EventPlace::of(event), self.max_keys, || LatestOutput {
            event_id: event.event_id,
            output: json(event.output.as_deref()),
            input: json(event.input.as_deref()),
        });
    }
}
