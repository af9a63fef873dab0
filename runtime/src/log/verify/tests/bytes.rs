//! Single bytes and cuts: none makes verification panic, or say that what was signed still holds.

use super::ledger::{Random, TestLedger, build, check, copy, scopes};
use crate::log::checkpoint::CHECKPOINTS_NAME;
use crate::log::storage::Storage;
use crate::log::verify::VerifyReport;
use crate::log::{LogPosition, segment_name};

fn flip(storage: &crate::log::storage::MemoryStorage, name: &str, at: u64, bit: u8) {
    let file = storage.open(name, false).unwrap();
    let mut byte = [0];
    file.read_at(at, &mut byte).unwrap();
    file.write_all_at(at, &[byte[0] ^ (1 << bit)]).unwrap();
}

/// Whether a report claims that signed bytes up to this place hold.
fn vouches_for(report: &VerifyReport, position: LogPosition) -> bool {
    report.is_verified() && report.protected.as_ref().is_some_and(|protected| protected.position >= position)
}

#[test]
fn every_flipped_bit_is_detected() {
    let ledger = build(1);
    let mut names: Vec<(String, u64)> = (1..=3).map(|segment| (segment_name(segment), 0)).collect();
    names.push((CHECKPOINTS_NAME.to_owned(), 0));
    for (name, len) in &mut names {
        *len = ledger.storage.read(name).unwrap().unwrap().len() as u64;
    }
    let end = check(&ledger.storage).protected.unwrap().position;
    let total: u64 = names.iter().map(|(_, len)| len).sum();
    let mut random = Random::new(1);
    for _ in 0..4096 {
        let mut at = random.next() % total;
        let bit = random.below(8) as u8;
        let (name, _) = names
            .iter()
            .find(|(_, len)| {
                let is_here = at < *len;
                at -= if is_here { 0 } else { *len };
                is_here
            })
            .unwrap();
        flip(&ledger.storage, name, at, bit);
        let report = check(&ledger.storage);
        assert!(!vouches_for(&report, end), "bit {bit} of byte {at} of {name}: {report}");
        // A flipped last newline leaves an unfinished checkpoint: harmless, as the tail then is unprotected.
        let is_harmless = name == CHECKPOINTS_NAME && report.unprotected.unfinished_checkpoint_bytes > 0;
        assert!(is_harmless || !report.is_verified(), "bit {bit} of byte {at} of {name}: {report}");
        flip(&ledger.storage, name, at, bit);
    }
    assert!(check(&ledger.storage).is_verified());
}

#[test]
fn a_log_cut_anywhere_in_its_last_lines_is_not_what_was_signed() {
    let ledger = build(2);
    let name = segment_name(3);
    let bytes = ledger.storage.read(&name).unwrap().unwrap();
    let last_three: usize = bytes.split_inclusive(|byte| *byte == b'\n').rev().take(3).map(<[u8]>::len).sum();
    for cut in bytes.len() - last_three..bytes.len() {
        let storage = copy(&ledger.storage);
        storage.replace(&name, &bytes[..cut]).unwrap();
        let report = check(&storage);
        assert!(!report.is_verified(), "cut at {cut}: {report}");
    }
}

#[test]
fn an_unprotected_tail_cut_anywhere_keeps_its_prefix() {
    let mut ledger = TestLedger::new();
    let scopes = scopes();
    for scope in &scopes {
        ledger.event(scope);
    }
    ledger.close();
    ledger.reopen();
    let signed = ledger.end();
    for scope in &scopes[..3] {
        ledger.event(scope);
    }
    let bytes = ledger.storage.read(&segment_name(1)).unwrap().unwrap();
    for cut in signed as usize..bytes.len() {
        let storage = copy(&ledger.storage);
        storage.replace(&segment_name(1), &bytes[..cut]).unwrap();
        let report = check(&storage);
        assert!(vouches_for(&report, LogPosition { segment: 1, offset: signed }), "cut at {cut}: {report}");
        let whole = bytes[signed as usize..cut].iter().filter(|byte| **byte == b'\n').count() as u64;
        assert_eq!(report.unprotected.events, whole, "cut at {cut}");
    }
}

#[test]
fn checkpoints_cut_anywhere_vouch_for_no_more_than_they_hold() {
    let ledger = build(3);
    let bytes = ledger.storage.read(CHECKPOINTS_NAME).unwrap().unwrap();
    let end = check(&ledger.storage).protected.unwrap().position;
    let last_three: usize = bytes.split_inclusive(|byte| *byte == b'\n').rev().take(3).map(<[u8]>::len).sum();
    for cut in bytes.len() - last_three..bytes.len() {
        let storage = copy(&ledger.storage);
        storage.replace(CHECKPOINTS_NAME, &bytes[..cut]).unwrap();
        let report = check(&storage);
        assert!(!vouches_for(&report, end), "cut at {cut}: {report}");
        assert!(report.protected.is_some(), "cut at {cut}: {report}");
    }
}

#[test]
fn arbitrary_bytes_never_make_it_panic() {
    let mut random = Random::new(5);
    for round in 0..300 {
        let storage = build(5).copy();
        for name in [segment_name(1), segment_name(2), CHECKPOINTS_NAME.to_owned()] {
            let mut bytes = storage.read(&name).unwrap().unwrap();
            for _ in 0..=random.below(4) {
                let at = random.below(bytes.len());
                match random.below(4) {
                    0 => bytes.truncate(at.max(1)),
                    1 => bytes[at] = random.next() as u8,
                    2 => drop(bytes.drain(at..(at + random.below(900)).min(bytes.len()))),
                    _ => {
                        let piece = bytes[at..(at + 700).min(bytes.len())].to_vec();
                        let to = random.below(bytes.len());
                        bytes.splice(to..to, piece);
                    }
                }
                if bytes.is_empty() {
                    bytes.push(b'\n');
                }
            }
            storage.replace(&name, &bytes).unwrap();
        }
        let report = check(&storage);
        let _ = (round, report.to_string());
    }
}
