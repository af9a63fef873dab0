//! What is kept beside the log, torn and flipped.

use super::*;
use crate::sinks::forwarder::cursor::{Cursor, fits};
use crate::sinks::forwarder::place::{Place, PlacedHash};
use crate::sinks::forwarder::state_file::{Gate, StateFile};
use crate::sinks::{MemoryState, SinkState};

fn place(offset: u64) -> Place {
    let position = crate::LogPosition { segment: 1, offset };
    Place { position, events: offset / 10, ..Place::START }
}

fn damaged(whole: &[u8]) -> Vec<Vec<u8>> {
    let prefixes = (0..whole.len()).map(|len| whole[..len].to_vec());
    let flips = (0..whole.len()).map(|at| {
        let mut bytes = whole.to_vec();
        bytes[at] ^= 0x10;
        bytes
    });
    prefixes.chain(flips).collect()
}

#[test]
fn a_torn_cursor_gives_way_to_the_one_before_and_without_one_all_begins_anew() {
    let storage = MemoryStorage::default();
    let shared: Arc<dyn Storage> = Arc::new(storage.clone());
    let settings = Rig::new().spec("copy").settings;
    let open = || Cursor::open(Arc::clone(&shared), &settings).unwrap();
    assert_eq!(open().1, None);
    let mut cursor = open().0;
    for offset in [100, 200, 300] {
        cursor.save(&place(offset)).unwrap();
        assert_eq!(open().1, Some(place(offset)));
    }
    let [old, new] = ["sinks/copy/cursor-0.json", "sinks/copy/cursor-1.json"];
    let (old_bytes, new_bytes) = (storage.read(old).unwrap().unwrap(), storage.read(new).unwrap().unwrap());
    for bytes in damaged(&new_bytes) {
        storage.replace(new, &bytes).unwrap();
        assert_eq!(open().1, Some(place(200)), "the newest is {:?}", String::from_utf8_lossy(&bytes));
        storage.replace(old, &old_bytes[1..]).unwrap();
        assert_eq!(open().1, None);
        storage.replace(old, &old_bytes).unwrap();
    }
    storage.replace(new, &new_bytes).unwrap();
    for bytes in damaged(&old_bytes) {
        storage.replace(old, &bytes).unwrap();
        assert_eq!(open().1, Some(place(300)));
    }
    // After the damage the next save does not count from below.
    open().0.save(&place(400)).unwrap();
    assert_eq!(open().1, Some(place(400)));
    let mut other = settings.clone();
    other.target = "elsewhere".to_owned();
    assert_eq!(Cursor::open(Arc::clone(&shared), &other).unwrap().1, None);
}

#[test]
fn after_torn_cursors_everything_comes_again_and_nothing_is_missing() {
    let (storage, rig) = (MemoryStorage::default(), Rig::new());
    let ledger = options(&storage).sink(rig.spec("copy")).open().unwrap();
    record(&ledger, "probe.torn", 200);
    ledger.close().unwrap();
    for slot in 0..2 {
        let name = format!("sinks/copy/cursor-{slot}.json");
        let bytes = storage.read(&name).unwrap().unwrap_or_default();
        storage.replace(&name, &bytes[..bytes.len() / 2]).unwrap();
    }
    let ledger = options(&storage).sink(rig.spec("copy")).open().unwrap();
    record(&ledger, "probe.torn", 1);
    ledger.close().unwrap();
    assert_eq!(rig.target.lines(), log_lines(&storage));
    let came = rig.target.lock().entries.iter().filter(|entry| entry.kind == EntryKind::Event).count();
    assert_eq!(came, 201 + log_lines(&storage).len(), "the first run's 201, then all of the log");
}

#[test]
fn a_cursor_of_another_log_is_none() {
    let (storage, rig) = (MemoryStorage::default(), Rig::new());
    let ledger = options(&storage).sink(rig.spec("copy")).open().unwrap();
    record(&ledger, "probe.fits", 20);
    ledger.close().unwrap();
    let shared: Arc<dyn Storage> = Arc::new(storage.clone());
    let (_, stored) = Cursor::open(Arc::clone(&shared), &rig.spec("copy").settings).unwrap();
    let place = stored.unwrap();
    let log = storage.read("log/00000001.ndjson").unwrap().unwrap();
    let checkpoints_end = storage.read("checkpoints.ndjson").unwrap().unwrap().len() as u64;
    let position = crate::LogPosition { segment: 1, offset: log.len() as u64 };
    let durable = crate::ledger::DurableEnd { position, events: 21, bytes: 0, checkpoints_end };
    assert!(fits(&shared, &place, &durable).unwrap());
    let inside =
        Place { position: crate::LogPosition { segment: 1, offset: position.offset - 7 }, ..place.clone() };
    assert!(!fits(&shared, &inside, &durable).unwrap(), "it lies inside of a line");
    let beyond = Place { position: crate::LogPosition { segment: 2, offset: 1 }, ..place.clone() };
    assert!(!fits(&shared, &beyond, &durable).unwrap(), "the log is shorter");
    let last = place.last_line.unwrap();
    let other = PlacedHash { hash: crate::LineHash([1; 32]), ..last };
    assert!(!fits(&shared, &Place { last_line: Some(other), ..place }, &durable).unwrap(), "another line");
}

#[test]
fn a_torn_state_is_none_and_a_closed_gate_lets_nothing_through() {
    let storage = MemoryStorage::default();
    let shared: Arc<dyn Storage> = Arc::new(storage.clone());
    let settings = Rig::new().spec("copy").settings;
    let gate = Gate::default();
    let mut state = StateFile::new(Arc::clone(&shared), &settings, gate.clone());
    assert_eq!(state.load(), MemoryState::default().load());
    state.save(b"stream 7").unwrap();
    assert_eq!(state.handle().load().as_deref(), Some(&b"stream 7"[..]));
    let whole = storage.read("sinks/copy/state").unwrap().unwrap();
    for bytes in damaged(&whole) {
        storage.replace("sinks/copy/state", &bytes).unwrap();
        assert_eq!(state.load(), None);
    }
    storage.replace("sinks/copy/state", &whole).unwrap();
    let mut other = settings.clone();
    other.target = "elsewhere".to_owned();
    assert_eq!(StateFile::new(shared, &other, gate.clone()).load(), None, "it is another target's");
    gate.close();
    assert!(state.handle().save(b"late").is_err());
    assert_eq!(state.load().as_deref(), Some(&b"stream 7"[..]));
}
