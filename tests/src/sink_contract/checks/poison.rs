//! Lines that no ledger of this version writes, among those that it does.

use dataset_events::sinks::EntryKey;

use crate::sink_contract::{Driver, LedgerCut, Target, assert_holds, story};

/// Puts other bytes in place of the first that are found.
fn replaced(line: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = line.windows(from.len()).position(|window| window == from);
    let at = at.unwrap_or_else(|| panic!("no {:?} in the line", String::from_utf8_lossy(from)));
    [&line[..at], to, &line[at + from.len()..]].concat()
}

type Poison = fn(&[u8]) -> Vec<u8>;

/// Each is a line by its beginning, which is all that a forwarder looks at.
const POISONS: [(&str, Poison); 5] = [
    ("no JSON", |line| replaced(line, b"\"access\":", b"\"ac\"ess\":")),
    ("no UTF-8", |line| replaced(line, b"\"req-1\"", b"\"r\xffq-1\"")),
    ("an outcome of a later version", |line| replaced(line, b"\"outcome\":\"ok\"", b"\"outcome\":\"later\"")),
    ("no event behind its beginning", |line| {
        let at = line.windows(9).position(|window| window == b"\"surface\"").expect("a surface");
        [&line[..at], b"\"later\":1}"].concat()
    }),
    ("larger than any document", |line| {
        let text = [b"\"input\":{\"text\":\"".as_slice(), &vec![b'p'; 3 << 20], b"\","].concat();
        replaced(line, b"\"input\":{", &text)
    }),
];

fn poisoned(cut: &LedgerCut, poisons: &[(&str, Poison)]) -> (LedgerCut, Vec<EntryKey>) {
    let is_ok = |at: &usize| cut.pieces[*at].bytes.windows(14).any(|window| window == b"\"outcome\":\"ok\"");
    let events: Vec<usize> = cut.events().into_iter().filter(is_ok).collect();
    let (mut changed, mut keys) = (cut.clone(), Vec::new());
    for (at, (_, poison)) in poisons.iter().enumerate() {
        let at = events[5 + at * 4];
        changed = changed.with_line(at, &poison(&cut.pieces[at].bytes));
        keys.push(cut.pieces[at].key);
    }
    (changed, keys)
}

fn forwarded(target: &mut dyn Target, poisons: &[(&str, Poison)], batch_entries: usize) {
    let (cut, poisoned) = poisoned(&story::orders(60), poisons);
    let mut driver = Driver::new(target, cut.ledger_id);
    // Twice: what was rejected is rejected again, what was stored is there already.
    for _ in 0..2 {
        driver.forward(&cut, 0..cut.pieces.len(), batch_entries);
    }
    let rejected: Vec<EntryKey> = driver.rejected.iter().map(|(key, _)| *key).collect();
    let others: Vec<_> = driver.rejected.iter().filter(|(key, _)| !poisoned.contains(key)).collect();
    assert!(others.is_empty(), "rejected together with a poisoned one: {others:?}");
    for (key, (name, _)) in poisoned.iter().zip(poisons) {
        let times = rejected.iter().filter(|rejected| *rejected == key).count();
        assert!(times == 0 || times == 2, "{name} was rejected {times} times of 2: {:?}", driver.rejected);
    }
    assert_holds(target, &cut, &rejected);
}

pub(super) fn a_poisoned_event_among_good_ones(target: &mut dyn Target) {
    for poison in &POISONS {
        forwarded(target, std::slice::from_ref(poison), usize::MAX);
    }
    forwarded(target, &POISONS, usize::MAX);
    forwarded(target, &POISONS, 7);
    forwarded(target, &POISONS, 1);
}
