//! Media activity: what was stored, fetched, verified and found damaged.

use std::collections::BTreeMap;

use dataset_events::read_models::{Bucket, EventPlace, LatestN, ReadModel, Windowed};
use dataset_events::{DatasetEvent, Outcome};
use serde::{Deserialize, Serialize};

use super::cause::acting;
use super::reading::{input, output, source_ref};
use super::{Cause, Span, Window};

/// Follows the media of a scope.
#[derive(Debug, Clone, Copy, Default)]
pub struct MediaModel;

/// What is known of a scope's media.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaState {
    counts: Windowed<MediaCounts>,
    /// Of all time: objects are never removed.
    held: MediaCounts,
    latest: LatestN<MediaAction, 50>,
}

/// What was done with media in a span of time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaCounts {
    /// Objects that were new.
    pub stored: u64,
    /// Their bytes.
    pub stored_bytes: u64,
    /// The new ones by what their bytes show them to be.
    pub by_type: BTreeMap<String, u64>,
    /// Uploads of what was there before.
    pub stored_again: u64,
    /// Of those, the ones that put damaged bytes right.
    pub repaired: u64,
    /// Objects that were fetched.
    pub fetched: u64,
    /// Their bytes.
    pub fetched_bytes: u64,
    /// Objects whose bytes were verified.
    pub verified: u64,
    /// Times that bytes were found missing or changed.
    pub damaged: u64,
    /// What the gate, or another rule, refused.
    pub denied: u64,
    /// What failed otherwise.
    pub failed: u64,
}

/// One write of media, or one damage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaAction {
    /// The surface.
    pub surface: String,
    /// How it ended.
    pub outcome: Outcome,
    /// The code of a failure.
    pub code: Option<String>,
    /// The object.
    pub media_id: Option<String>,
    /// Who.
    pub by: String,
    /// The event.
    pub event: Cause,
}

/// The media of a scope as they are shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MediaActivity {
    /// How many objects there are.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many by what their bytes show them to be.
    pub by_type: BTreeMap<String, u64>,
    /// The span that `counts` are of.
    pub span: Span,
    /// What was done in it.
    pub counts: MediaCounts,
    /// The latest writes and failures, newest first, of any time.
    pub latest: Vec<MediaAction>,
}

impl MediaState {
    /// What there is, what was done in a window, and the latest `limit` writes.
    pub fn view(&self, window: Window, limit: usize) -> MediaActivity {
        let span = Span::over(&self.counts, window);
        let latest = self.latest.newest_first().take(limit).map(|(_, action)| action.clone());
        MediaActivity {
            objects: self.held.stored,
            bytes: self.held.stored_bytes,
            by_type: self.held.by_type.clone(),
            counts: span.sum(&self.counts),
            span,
            latest: latest.collect(),
        }
    }
}

impl Bucket for MediaCounts {
    fn merge(&mut self, other: &Self) {
        self.stored += other.stored;
        self.stored_bytes += other.stored_bytes;
        for (media_type, count) in &other.by_type {
            *self.by_type.entry(media_type.clone()).or_default() += count;
        }
        self.stored_again += other.stored_again;
        self.repaired += other.repaired;
        self.fetched += other.fetched;
        self.fetched_bytes += other.fetched_bytes;
        self.verified += other.verified;
        self.damaged += other.damaged;
        self.denied += other.denied;
        self.failed += other.failed;
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Upload {
    size_bytes: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WasStored {
    sniffed_type: String,
    is_new: bool,
    is_repaired: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Found {
    size_bytes: u64,
}

fn counted(event: &DatasetEvent) -> MediaCounts {
    let none = MediaCounts::default();
    match (event.outcome, &*event.surface) {
        (Outcome::Denied, _) => MediaCounts { denied: 1, ..none },
        (Outcome::Ok, "media.store") => {
            let upload: Upload = input(event).unwrap_or_default();
            let stored: WasStored = output(event).unwrap_or_default();
            if !stored.is_new {
                return MediaCounts { stored_again: 1, repaired: u64::from(stored.is_repaired), ..none };
            }
            // What is sniffed is of a closed list, unlike what is declared.
            let by_type = BTreeMap::from([(stored.sniffed_type, 1)]);
            MediaCounts { stored: 1, stored_bytes: upload.size_bytes, by_type, ..none }
        }
        (Outcome::Ok, "media.fetch") => {
            let found: Found = output(event).unwrap_or_default();
            MediaCounts { fetched: 1, fetched_bytes: found.size_bytes, ..none }
        }
        (Outcome::Ok, "media.verify") => MediaCounts { verified: 1, ..none },
        (Outcome::Ok, _) => none,
        (_, _) if event.code() == Some("media.corrupt") => MediaCounts { damaged: 1, ..none },
        _ => MediaCounts { failed: 1, ..none },
    }
}

impl ReadModel for MediaModel {
    type State = MediaState;
    const NAME: &'static str = "media";
    const VERSION: u32 = 1;

    fn selects(&self, event: &DatasetEvent) -> bool {
        event.surface.starts_with("media.")
    }

    fn apply(&self, state: &mut MediaState, event: &DatasetEvent) {
        let counts = counted(event);
        state.counts.add(event.recorded_at, |bucket| bucket.merge(&counts));
        state.held.merge(&counts);
        if event.surface == "media.store" || event.outcome.is_failure() {
            state.latest.offer(EventPlace::of(event), || MediaAction {
                surface: event.surface.clone(),
                outcome: event.outcome,
                code: event.code().map(str::to_owned),
                media_id: source_ref(event, "media").map(str::to_owned),
                by: acting(event),
                event: Cause::of(event),
            });
        }
    }
}
