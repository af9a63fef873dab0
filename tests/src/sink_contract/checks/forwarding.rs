//! The sink behind the real forwarder, whose cursor is lost, torn or too old.

use std::fs;
use std::path::{Path, PathBuf};

use crate::sink_contract::forwarded::{Forwarded, Run, put_back, snapshot};
use crate::sink_contract::{Target, assert_holds_exactly};

const CURSORS: [&str; 2] = ["cursor-0.json", "cursor-1.json"];
/// Several segments in all runs together, and several batches in each.
const ORDERS: usize = 30;

fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap_or_else(|error| panic!("damage {}: {error}", path.display()));
}

fn garbled(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| byte ^ 0x15).collect()
}

/// The cursor that was saved last, and the one before it.
fn newest_first(folder: &Path) -> [PathBuf; 2] {
    let paths = CURSORS.map(|name| folder.join(name));
    let save = |path: &PathBuf| {
        let bytes = fs::read(path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()));
        let line = bytes.split(|byte| *byte == b'\n').nth(1).expect("a cursor is a sum and a line");
        let cursor: serde_json::Value = serde_json::from_slice(line).expect("a cursor is JSON");
        cursor["save"].as_u64().expect("a cursor counts its saves")
    };
    let [zero, one] = paths;
    if save(&zero) > save(&one) { [zero, one] } else { [one, zero] }
}

/// What happens to the files, whose newest comes first; and whether the one before it is left whole.
type Damage = (&'static str, fn(&[PathBuf; 2]), bool);

const DAMAGES: [Damage; 7] = [
    (
        "the newest is cut in the middle",
        |[newest, _]| {
            let bytes = fs::read(newest).expect("the newest cursor");
            write(newest, &bytes[..bytes.len() / 2]);
        },
        true,
    ),
    (
        "the newest is garbled",
        |[newest, _]| {
            let bytes = fs::read(newest).expect("the newest cursor");
            write(newest, &garbled(&bytes));
        },
        true,
    ),
    ("the newest is gone", |[newest, _]| fs::remove_file(newest).expect("remove a cursor"), true),
    (
        "both are cut in the middle",
        |both| {
            for path in both {
                let bytes = fs::read(path).expect("a cursor");
                write(path, &bytes[..bytes.len() / 2]);
            }
        },
        false,
    ),
    ("both are empty", |both| both.iter().for_each(|path| write(path, b"")), false),
    (
        "both are garbage",
        |both| {
            for (path, byte) in both.iter().zip([0_u8, 0xff]) {
                write(path, &[byte; 700]);
            }
        },
        false,
    ),
    (
        "the newest is garbage, and the one before it is gone",
        |[newest, before]| {
            write(newest, b"{\"version\":1}\n");
            fs::remove_file(before).expect("remove a cursor");
        },
        false,
    ),
];

fn assert_went_back(run: &Run, is_one_whole: bool, repeats: usize, damage: &str) {
    assert!(repeats > 0, "{damage}: nothing came again");
    assert_eq!(run.is_from_the_start(), !is_one_whole, "{damage}: where forwarding went on");
}

pub(super) fn cursor_file_torn(target: &mut dyn Target) {
    let mut forwarded = Forwarded::new();
    for (damage, apply, is_one_whole) in DAMAGES {
        // Two, so that there are two cursors.
        forwarded.run(target, ORDERS);
        forwarded.run(target, ORDERS);
        apply(&newest_first(&forwarded.folder()));
        let before = forwarded.acknowledged().clone();
        let run = forwarded.run(target, ORDERS);
        assert_went_back(&run, is_one_whole, run.repeats(&before), damage);
        assert_holds_exactly(target, &forwarded.expected());
    }
}

pub(super) fn killed_between_ack_and_cursor(target: &mut dyn Target) {
    let mut forwarded = Forwarded::new();
    forwarded.run(target, ORDERS);
    let is_cursor =
        |path: &Path| path.file_name().is_some_and(|name| CURSORS.iter().any(|cursor| name == *cursor));
    for batches in 1..=4 {
        // The second time what the sink itself keeps is as old as its cursor: killed before it was saved.
        for is_state_old in [false, true] {
            let (folder, known) = (forwarded.folder(), forwarded.acknowledged().clone());
            let before = snapshot(&folder);
            let run = forwarded.run_until(target, ORDERS, batches);
            assert!(run.repeats(&known) < run.given.len(), "nothing new before the process was killed");
            put_back(&folder, &before, |path| is_state_old || is_cursor(path));
            let (killed, known) = (run.given, forwarded.acknowledged().clone());
            let run = forwarded.run(target, 1);
            let came_again = killed.iter().all(|(key, _)| run.given.iter().any(|(again, _)| again == key));
            assert!(
                came_again && run.repeats(&known) > 0,
                "what was acknowledged before the kill comes again"
            );
            assert_holds_exactly(target, &forwarded.expected());
        }
    }
}
