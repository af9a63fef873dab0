//! The health of ledgers, through the `metrics` facade.
//!
//! Histograms are fed by the writer's thread, once a group, if the program has installed a recorder. All else
//! is read when [`Ledger::publish_metrics`] is called. Every metric has the label `ledger`.

use std::time::Duration;

use ::metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use crate::ids::LedgerId;
use crate::ledger::{Group, Health, Ledger};
use crate::retention::RetentionStatus;
use crate::sinks::SinkStatus;

const GROUP_EVENTS: &str = "dataset_events_group_events";
const GROUP_BYTES: &str = "dataset_events_group_bytes";
const FSYNC: &str = "dataset_events_fsync_seconds";
const EVENTS: &str = "dataset_events_recorded_total";
const LOG_BYTES: &str = "dataset_events_log_bytes_total";
const WAITS: &str = "dataset_events_waits_total";
const SHED: &str = "dataset_events_shed_total";
const AFTER_CLOSE: &str = "dataset_events_after_close_total";
const SYNTHESIZED: &str = "dataset_events_synthesized_ids_total";
const INDEX_REBUILDS: &str = "dataset_events_index_rebuilds_total";
const JOURNAL_FILL: &str = "dataset_events_journal_fill_ratio";
const OPEN_ATTEMPTS: &str = "dataset_events_open_attempts";
const INDEX_LAG: &str = "dataset_events_index_lag_bytes";
const INDEX_OK: &str = "dataset_events_index_ok";
const HEALTH: &str = "dataset_events_health";
const SINK_FORWARDED: &str = "dataset_events_sink_forwarded_total";
const SINK_DUPLICATES: &str = "dataset_events_sink_duplicates_total";
const SINK_RETRIES: &str = "dataset_events_sink_retries_total";
const SINK_DEAD_LETTERS: &str = "dataset_events_sink_dead_letters";
const SINK_LAG_EVENTS: &str = "dataset_events_sink_lag_events";
const SINK_LAG_BYTES: &str = "dataset_events_sink_lag_bytes";
const SINK_LAG_SECONDS: &str = "dataset_events_sink_lag_seconds";
const SINK_REDELIVERED: &str = "dataset_events_sink_redelivered_total";
const SINK_STATE: &str = "dataset_events_sink_state";
const DROPPED_SEGMENTS: &str = "dataset_events_retention_dropped_segments_total";
const DROPPED_EVENTS: &str = "dataset_events_retention_dropped_events_total";
const DROPPED_BYTES: &str = "dataset_events_retention_dropped_bytes_total";
const SEGMENTS: &str = "dataset_events_retention_segments";
const HOLDS: &str = "dataset_events_retention_holds";
const RETENTION_OK: &str = "dataset_events_retention_ok";
const LAST_PASS: &str = "dataset_events_retention_last_pass_age_seconds";
const DISK: &str = "dataset_events_disk_bytes";
const DISK_CAP: &str = "dataset_events_disk_cap_bytes";

/// A group is durable.
pub(crate) fn group(ledger: LedgerId, group: &Group, elapsed: Duration) {
    let label = ledger.to_string();
    histogram!(GROUP_EVENTS, "ledger" => label.clone()).record(group.events as f64);
    histogram!(GROUP_BYTES, "ledger" => label.clone()).record(group.bytes.len() as f64);
    histogram!(FSYNC, "ledger" => label).record(elapsed.as_secs_f64());
}

impl Ledger {
    /// Publishes counters and gauges of this ledger through the `metrics` facade, with their descriptions.
    /// Call it before an exporter renders, or every few seconds.
    ///
    /// | metric | kind | meaning |
    /// |---|---|---|
    /// | `dataset_events_recorded_total` | counter | events in the log, durable, since the ledger was opened |
    /// | `dataset_events_log_bytes_total` | counter | bytes of the log made durable since then |
    /// | `dataset_events_group_events` | histogram | events of a group, which one fdatasync makes durable |
    /// | `dataset_events_group_bytes` | histogram | bytes of a group |
    /// | `dataset_events_fsync_seconds` | histogram | time to write a group and make it durable |
    /// | `dataset_events_journal_fill_ratio` | gauge | the part of the journal's blocks that is taken, 0 to 1 |
    /// | `dataset_events_waits_total` | counter | calls that waited for room in the journal |
    /// | `dataset_events_shed_total` | counter | calls whose event found no room; each is in a `ledger.gap` event |
    /// | `dataset_events_after_close_total` | counter | calls that came after the ledger was closed |
    /// | `dataset_events_synthesized_ids_total` | counter | made-up ids, by `kind`: `request_id`, `trace_id`; `scope`: calls that named `$system` |
    /// | `dataset_events_open_attempts` | gauge | attempts whose event is not in the log yet |
    /// | `dataset_events_index_lag_bytes` | gauge | bytes of the durable log that the index has not read |
    /// | `dataset_events_index_ok` | gauge | 1, or 0 while the index fails and reads scan the log |
    /// | `dataset_events_index_rebuilds_total` | counter | times that an index was deleted and built again |
    /// | `dataset_events_sink_forwarded_total` | counter | entries that a `sink` acknowledged since it was attached |
    /// | `dataset_events_sink_duplicates_total` | counter | those of them that were there already |
    /// | `dataset_events_sink_retries_total` | counter | attempts of a `sink` that failed |
    /// | `dataset_events_sink_dead_letters` | gauge | entries that a `sink` refused for good |
    /// | `dataset_events_sink_redelivered_total` | counter | dead letters that a `sink` took when they were offered again |
    /// | `dataset_events_sink_lag_events` | gauge | durable events that a `sink` has not acknowledged |
    /// | `dataset_events_sink_lag_bytes` | gauge | durable bytes of the log that it has not |
    /// | `dataset_events_sink_lag_seconds` | gauge | the age of the oldest of them |
    /// | `dataset_events_sink_state` | gauge | 1 for the `state` that a `sink` is in: `starting`, `running`, `waiting`, `hanging`, `paused`, `stopped`, `closed`; else 0 |
    /// | `dataset_events_retention_segments` | gauge | segments of the log after the last pass; this and the next three from the first pass on |
    /// | `dataset_events_retention_holds` | gauge | scopes under a legal hold then |
    /// | `dataset_events_retention_ok` | gauge | 1, or 0 when the last pass failed |
    /// | `dataset_events_retention_last_pass_age_seconds` | gauge | how long ago it was |
    /// | `dataset_events_retention_dropped_segments_total` | counter | segments that were dropped since the ledger was opened |
    /// | `dataset_events_retention_dropped_events_total` | counter | events in them |
    /// | `dataset_events_retention_dropped_bytes_total` | counter | bytes of them |
    /// | `dataset_events_disk_bytes` | gauge | what the ledger's files used at the last pass; this and the next where there is a cap |
    /// | `dataset_events_disk_cap_bytes` | gauge | the cap |
    /// | `dataset_events_health` | gauge | 1 for the `state` that it is in: `green`, `shedding`, `failed`, `closed`; else 0 |
    ///
    /// The histograms come from the ledger's own thread; they begin when a recorder is installed.
    pub fn publish_metrics(&self) {
        describe();
        let label = self.id().to_string();
        let stats = self.stats();
        let index = self.index_health();
        for (name, value) in [
            (EVENTS, stats.events),
            (LOG_BYTES, stats.log_bytes),
            (WAITS, stats.waits),
            (SHED, stats.shed),
            (AFTER_CLOSE, stats.after_close),
            (INDEX_REBUILDS, index.rebuilds),
        ] {
            counter!(name, "ledger" => label.clone()).absolute(value);
        }
        for (kind, value) in [
            ("request_id", stats.synthesized_request_ids),
            ("trace_id", stats.synthesized_trace_ids),
            ("scope", stats.synthesized_scopes),
        ] {
            counter!(SYNTHESIZED, "ledger" => label.clone(), "kind" => kind).absolute(value);
        }
        let (blocks, free) = (f64::from(stats.journal_blocks.max(1)), f64::from(stats.journal_blocks_free));
        for (name, value) in [
            (JOURNAL_FILL, 1.0 - free / blocks),
            (OPEN_ATTEMPTS, stats.open_attempts as f64),
            (INDEX_LAG, stats.index_lag_bytes as f64),
            (INDEX_OK, f64::from(u8::from(index.is_ok))),
        ] {
            gauge!(name, "ledger" => label.clone()).set(value);
        }
        for sink in self.sinks().statuses() {
            publish_sink(&label, &sink);
        }
        publish_retention(&label, &self.retention(), self.owner.retention.now());
        let state = match self.health() {
            Health::Green => "green",
            Health::Shedding => "shedding",
            Health::Failed { .. } => "failed",
            Health::Closed => "closed",
        };
        for one in ["green", "shedding", "failed", "closed"] {
            let is_it = f64::from(u8::from(one == state));
            gauge!(HEALTH, "ledger" => label.clone(), "state" => one).set(is_it);
        }
    }
}

fn publish_sink(ledger: &str, status: &SinkStatus) {
    let labels = [("ledger", ledger.to_owned()), ("sink", status.name.clone())];
    for (name, value) in [
        (SINK_FORWARDED, status.forwarded),
        (SINK_DUPLICATES, status.duplicates),
        (SINK_RETRIES, status.retries),
        (SINK_REDELIVERED, status.redelivered),
    ] {
        counter!(name, &labels).absolute(value);
    }
    for (name, value) in [
        (SINK_DEAD_LETTERS, status.dead_letters as f64),
        (SINK_LAG_EVENTS, status.lag_events as f64),
        (SINK_LAG_BYTES, status.lag_bytes as f64),
        (SINK_LAG_SECONDS, status.lag_seconds),
    ] {
        gauge!(name, &labels).set(value);
    }
    for one in ["starting", "running", "waiting", "hanging", "paused", "stopped", "closed"] {
        let is_it = f64::from(u8::from(one == status.state.as_str()));
        let [ledger, sink] = labels.clone();
        gauge!(SINK_STATE, &[ledger, sink, ("state", one.to_owned())]).set(is_it);
    }
}

fn publish_retention(ledger: &str, status: &RetentionStatus, now_us: i64) {
    let set = |name, value: f64| gauge!(name, "ledger" => ledger.to_owned()).set(value);
    if let Some(at_us) = status.last_pass_us {
        set(SEGMENTS, status.segments as f64);
        set(HOLDS, status.holds as f64);
        set(RETENTION_OK, f64::from(u8::from(status.error.is_none())));
        set(LAST_PASS, (now_us - at_us).max(0) as f64 / 1e6);
        for (name, value) in [
            (DROPPED_SEGMENTS, status.dropped_segments),
            (DROPPED_EVENTS, status.dropped_events),
            (DROPPED_BYTES, status.dropped_bytes),
        ] {
            counter!(name, "ledger" => ledger.to_owned()).absolute(value);
        }
    }
    if let Some(cap) = status.max_disk_bytes {
        set(DISK, status.disk_bytes as f64);
        set(DISK_CAP, cap as f64);
    }
}

/// Each time, since a recorder may have been installed since.
fn describe() {
    describe_counter!(EVENTS, Unit::Count, "Events in the log, durable, since the ledger was opened.");
    describe_counter!(LOG_BYTES, Unit::Bytes, "Bytes of the log made durable since the ledger was opened.");
    describe_counter!(WAITS, Unit::Count, "Calls that waited for room in the journal.");
    describe_counter!(SHED, Unit::Count, "Calls whose event found no room in the journal.");
    describe_counter!(AFTER_CLOSE, Unit::Count, "Calls that came after the ledger was closed.");
    describe_counter!(SYNTHESIZED, Unit::Count, "Request ids, trace ids and scopes that were made up.");
    describe_counter!(INDEX_REBUILDS, Unit::Count, "Times that an index was deleted and built again.");
    describe_histogram!(GROUP_EVENTS, Unit::Count, "Events of a group, which one fdatasync makes durable.");
    describe_histogram!(GROUP_BYTES, Unit::Bytes, "Bytes of a group.");
    describe_histogram!(FSYNC, Unit::Seconds, "Time to write a group and make it durable.");
    describe_gauge!(JOURNAL_FILL, "The part of the journal's blocks that is taken, 0 to 1.");
    describe_gauge!(OPEN_ATTEMPTS, Unit::Count, "Attempts whose event is not in the log yet.");
    describe_gauge!(INDEX_LAG, Unit::Bytes, "Bytes of the durable log that the index has not read yet.");
    describe_gauge!(INDEX_OK, "1, or 0 while the index fails and reads scan the log.");
    describe_counter!(SINK_FORWARDED, Unit::Count, "Entries that a sink acknowledged.");
    describe_counter!(SINK_DUPLICATES, Unit::Count, "Entries that a sink had already.");
    describe_counter!(SINK_RETRIES, Unit::Count, "Attempts of a sink that failed.");
    describe_counter!(SINK_REDELIVERED, Unit::Count, "Dead letters that a sink took in the end.");
    describe_gauge!(SINK_DEAD_LETTERS, Unit::Count, "Entries that a sink refused for good.");
    describe_gauge!(SINK_LAG_EVENTS, Unit::Count, "Durable events that a sink has not acknowledged.");
    describe_gauge!(
        SINK_LAG_BYTES,
        Unit::Bytes,
        "Durable bytes of the log that a sink has not acknowledged."
    );
    describe_gauge!(SINK_LAG_SECONDS, Unit::Seconds, "The age of the oldest line that a sink lacks.");
    describe_gauge!(SINK_STATE, "1 for the state that a sink is in, 0 for the others.");
    describe_gauge!(SEGMENTS, Unit::Count, "Segments of the log after the last pass of retention.");
    describe_gauge!(HOLDS, Unit::Count, "Scopes under a legal hold.");
    describe_gauge!(RETENTION_OK, "1, or 0 when the last pass of retention failed.");
    describe_gauge!(LAST_PASS, Unit::Seconds, "How long ago the last pass of retention was.");
    describe_counter!(
        DROPPED_SEGMENTS,
        Unit::Count,
        "Segments that were dropped since the ledger was opened."
    );
    describe_counter!(DROPPED_EVENTS, Unit::Count, "Events that were dropped with them.");
    describe_counter!(DROPPED_BYTES, Unit::Bytes, "Bytes of the log that were dropped with them.");
    describe_gauge!(DISK, Unit::Bytes, "What the ledger's files use, where there is a cap.");
    describe_gauge!(DISK_CAP, Unit::Bytes, "The cap on what the ledger's files use.");
    describe_gauge!(HEALTH, "1 for the state that the ledger is in, 0 for the others.");
}
