//! 72 hours without a target and a million events behind, on a clock that jumps.

use super::*;
use crate::ids::EventId;
use crate::ledger::DurableEnd;
use crate::log::storage::DiskStorage;
use crate::log::{LogPosition, segment_name};
use crate::sinks::forwarder::Forwarders;

const EVENTS: u64 = 1_000_000;
const EVENTS_A_SEGMENT: u64 = 100_000;
const OUTAGE: Duration = Duration::from_secs(72 * 3600);
const RECORDED_AT: i64 = 1_800_000_000_000_000;

fn event_id(number: u64) -> EventId {
    EventId::from_uuid(uuid::Uuid::from_u128(0x0198_0000_0000_7000_8000_0000_0000_0000 + u128::from(number)))
}

/// Writes a log of a million events; returns its durable end.
fn write_log(storage: &dyn Storage) -> DurableEnd {
    storage.replace("ledger.json", b"{}\n").unwrap();
    storage.replace("checkpoints.ndjson", b"").unwrap();
    let prev = "0".repeat(64);
    let (mut position, mut bytes, mut all) = (LogPosition::START, Vec::new(), 0);
    for number in 1..=EVENTS {
        use std::io::Write as _;
        let id = event_id(number);
        writeln!(
            bytes,
            "{{\"schema_version\":1,\"kind\":\"event\",\"ledger_id\":\"{LEDGER}\",\"event_id\":\"{id}\",\
             \"tenant_id\":\"acme\",\"env\":\"prod\",\"seq\":{number},\"prev\":\"{prev}\",\
             \"surface\":\"probe.outage\",\"recorded_at\":{RECORDED_AT}}}"
        )
        .unwrap();
        if number % EVENTS_A_SEGMENT == 0 {
            storage.replace(&segment_name(position.segment), &bytes).unwrap();
            position.offset = bytes.len() as u64;
            all += position.offset;
            if number < EVENTS {
                position = LogPosition { segment: position.segment + 1, offset: 0 };
                bytes.clear();
            }
        }
    }
    DurableEnd { position, events: EVENTS, bytes: all, checkpoints_end: 0 }
}

/// A target that is away at first, then loses every seventh acknowledgement. It holds events as numbers.
struct Far {
    time: Arc<JumpingTime>,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    /// Events up to here are stored.
    stored: u64,
    came_again: u64,
    appends: u64,
    largest_entries: usize,
    largest_bytes: usize,
}

impl Sink for Far {
    fn kind(&self) -> &'static str {
        "far"
    }

    fn append(&mut self, batch: &[Entry]) -> Result<Ack, SinkError> {
        let mut seen = self.seen.lock().unwrap();
        seen.appends += 1;
        seen.largest_entries = seen.largest_entries.max(batch.len());
        let bytes = batch.iter().map(|entry| entry.bytes().len()).sum();
        seen.largest_bytes = seen.largest_bytes.max(bytes);
        if self.time.now() < OUTAGE {
            return Err(SinkError::retry("append to the far target", "it is away"));
        }
        for entry in batch.iter().filter(|entry| entry.kind() == EntryKind::Event) {
            let next = EntryKey::Event(event_id(seen.stored + 1));
            if entry.key() == next {
                seen.stored += 1;
            } else {
                assert!(entry.key() < next, "{entry:?} leaves out what follows event {}", seen.stored);
                seen.came_again += 1;
            }
        }
        if seen.appends.is_multiple_of(7) {
            return Err(SinkError::reopen("append to the far target", "the answer was lost"));
        }
        Ok(Ack::all())
    }
}

#[test]
fn after_72_hours_a_million_events_arrive_each_once_and_memory_stays_one_batch() {
    let directory = tempfile::tempdir().unwrap();
    let storage: Arc<dyn Storage> = Arc::new(DiskStorage::new(directory.path().to_owned()));
    let durable = write_log(&*storage);
    let (time, seen) = (Arc::<JumpingTime>::default(), Arc::<Mutex<Seen>>::default());
    let sink = Far { time: Arc::clone(&time), seen: Arc::clone(&seen) };
    let spec = SinkSpec::new("far", Box::new(sink)).unwrap().required(true).time(time.clone());
    let forwarders = Forwarders::start(Arc::clone(&storage), LEDGER, durable, vec![spec]);
    let begun = Instant::now();
    let deadline = begun + Duration::from_secs(300);
    assert!(forwarders.drain(durable.position, deadline).is_empty(), "within {:?}", begun.elapsed());
    let status = forwarders.all()[0].shared.status();
    forwarders.close();
    let seen = seen.lock().unwrap();
    println!("{} appends, {:?} of real time", seen.appends, begun.elapsed());
    assert!(time.now() >= OUTAGE);
    assert_eq!(seen.stored, EVENTS);
    assert!(seen.came_again > 0);
    assert!(seen.appends >= 72 * 120, "one attempt in 30 s at the least");
    assert!(seen.largest_entries <= 500 && seen.largest_bytes <= 4 << 20);
    assert_eq!((status.lag_events, status.lag_bytes), (0, 0));
    assert_eq!(status.acknowledged, durable.position);
    assert!(status.retries >= 72 * 120);
    // From the cursor that it left, nothing comes again.
    let again = Arc::<Mutex<Seen>>::default();
    let sink = Far { time: Arc::clone(&time), seen: Arc::clone(&again) };
    let spec = SinkSpec::new("far", Box::new(sink)).unwrap().required(true).time(time);
    let forwarders = Forwarders::start(storage, LEDGER, durable, vec![spec]);
    assert!(forwarders.drain(durable.position, deadline).is_empty());
    forwarders.close();
    assert_eq!(again.lock().unwrap().appends, 0);
}
