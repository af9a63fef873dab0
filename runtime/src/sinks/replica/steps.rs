//! What a batch comes to: the pieces that are stored, in the order in which they are.

use super::names::checkpoint_folder;
use crate::log::LogPosition;
use crate::sinks::{Entry, EntryKey, EntryKind};

/// A piece to store.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step<'a> {
    /// The contents of `ledger.json`, and their hash as the name.
    Identity { hash: String, bytes: &'a [u8] },
    /// Whole lines with their newlines, without a hole between them.
    Log { position: LogPosition, bytes: Vec<u8> },
    /// A head table.
    HeadTable { position: LogPosition, bytes: &'a [u8] },
    /// A cut, with its newline.
    Cut { number: u64, bytes: Vec<u8> },
    /// Checkpoints of one folder, without a hole between their numbers.
    Checkpoints { first: u64, lines: Vec<&'a [u8]> },
}

/// Two lines between which others are missing.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotContiguous {
    pub(super) end: LogPosition,
    pub(super) next: LogPosition,
}

/// Whether a line may stand there, behind lines that end at `end`.
pub(super) fn follows(end: LogPosition, next: LogPosition) -> bool {
    next == end || (next.segment == end.segment.saturating_add(1) && next.offset == 0)
}

/// Makes the steps of a batch. Log objects have at most `object_bytes`, but always a whole line.
///
/// Checkpoints come last: what they cover must be stored before them. A head table stands between the lines
/// before and behind its place, so that whoever sees a line behind it can also see the table.
pub(super) fn steps(batch: &[Entry], object_bytes: usize) -> Result<Vec<Step<'_>>, NotContiguous> {
    let mut steps = Vec::new();
    let mut checkpoints: Vec<Step<'_>> = Vec::new();
    let mut lines: Option<(LogPosition, Vec<u8>)> = None;
    let mut end: Option<LogPosition> = None;
    for entry in batch {
        match (entry.kind(), entry.key()) {
            (EntryKind::Event | EntryKind::Attempt, _) => {
                let position = entry.position();
                if let Some(end) = end.filter(|end| !follows(*end, position)) {
                    return Err(NotContiguous { end, next: position });
                }
                let len = entry.bytes().len() + 1;
                let joins = |(start, bytes): &(LogPosition, Vec<u8>)| {
                    start.segment == position.segment && bytes.len() + len <= object_bytes
                };
                if !lines.as_ref().is_some_and(joins) {
                    flush(&mut lines, &mut steps);
                }
                let (_, bytes) = lines.get_or_insert_with(|| (position, Vec::new()));
                bytes.extend_from_slice(entry.bytes());
                bytes.push(b'\n');
                end = Some(LogPosition { segment: position.segment, offset: position.offset + len as u64 });
            }
            (_, EntryKey::Checkpoint(number)) => {
                let joined = match checkpoints.last_mut() {
                    Some(Step::Checkpoints { first, lines })
                        if *first + lines.len() as u64 == number
                            && checkpoint_folder(*first) == checkpoint_folder(number) =>
                    {
                        lines.push(entry.bytes());
                        true
                    }
                    _ => false,
                };
                if !joined {
                    checkpoints.push(Step::Checkpoints { first: number, lines: vec![entry.bytes()] });
                }
            }
            (_, EntryKey::HeadTable(position)) => {
                flush(&mut lines, &mut steps);
                steps.push(Step::HeadTable { position, bytes: entry.bytes() });
            }
            (_, EntryKey::Cut(number)) => {
                // Before the lines behind it, so that whoever sees a log that begins at it can also see it.
                flush(&mut lines, &mut steps);
                steps.push(Step::Cut { number, bytes: [entry.bytes(), b"\n"].concat() });
            }
            (_, EntryKey::Identity(hash)) => {
                steps.push(Step::Identity { hash: hash.to_string(), bytes: entry.bytes() });
            }
            (_, EntryKey::Event(_) | EntryKey::Attempt(_)) => {}
        }
    }
    flush(&mut lines, &mut steps);
    steps.append(&mut checkpoints);
    Ok(steps)
}

fn flush(lines: &mut Option<(LogPosition, Vec<u8>)>, steps: &mut Vec<Step<'_>>) {
    steps.extend(lines.take().map(|(position, bytes)| Step::Log { position, bytes }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{LedgerId, Scope};
    use crate::log::line::genesis;

    fn ledger_id() -> LedgerId {
        "0190b5a0-0000-7000-8000-000000000001".parse().unwrap()
    }

    fn line(seq: u64) -> Vec<u8> {
        let ledger_id = ledger_id();
        let prev = genesis(ledger_id, &Scope::system());
        format!(
            r#"{{"schema_version":1,"kind":"event","ledger_id":"{ledger_id}","event_id":"0190b5a0-0000-7000-8000-00000000{seq:04}","tenant_id":"a","env":"prod","seq":{seq},"prev":"{prev}","surface":"a.b"}}"#
        )
        .into_bytes()
    }

    fn at(segment: u32, offset: u64) -> LogPosition {
        LogPosition { segment, offset }
    }

    #[test]
    fn lines_are_joined_over_checkpoints_and_cut_at_segments_tables_and_sizes() {
        let len = line(1).len() as u64 + 1;
        let entry = |segment, index: u64| Entry::line(at(segment, index * len), line(index + 1)).unwrap();
        let checkpoint = |number| Entry::checkpoint(ledger_id(), number, at(1, len), b"{}".to_vec());
        let batch = [
            Entry::identity(ledger_id(), b"{}\n".to_vec()),
            entry(1, 0),
            checkpoint(9_998),
            entry(1, 1),
            checkpoint(9_999),
            checkpoint(10_000),
            Entry::cut(ledger_id(), 3, at(1, 0), b"{}".to_vec()),
            entry(1, 2),
            Entry::head_table(ledger_id(), at(1, 3 * len), b"{}\n".to_vec()),
            entry(2, 0),
            checkpoint(10_002),
        ];
        let made = steps(&batch, 2 * len as usize).unwrap();
        let told: Vec<String> = made
            .iter()
            .map(|step| match step {
                Step::Identity { .. } => "identity".to_owned(),
                Step::Log { position, bytes } => format!(
                    "log {}+{} {}",
                    position.segment,
                    position.offset / len,
                    bytes.iter().filter(|byte| **byte == b'\n').count()
                ),
                Step::HeadTable { position, .. } => format!("table {}", position.segment),
                Step::Cut { number, bytes } => format!("cut {number} {}", bytes.len()),
                Step::Checkpoints { first, lines } => format!("checkpoints {first} {}", lines.len()),
            })
            .collect();
        assert_eq!(
            told,
            [
                "identity",
                "log 1+0 2",
                "cut 3 3",
                "log 1+2 1",
                "table 1",
                "log 2+0 1",
                "checkpoints 9998 2",
                "checkpoints 10000 1",
                "checkpoints 10002 1"
            ]
        );
    }

    #[test]
    fn a_missing_line_is_named_and_a_long_one_is_not_cut() {
        let len = line(1).len() as u64 + 1;
        let batch = [Entry::line(at(1, 0), line(1)).unwrap(), Entry::line(at(1, 2 * len), line(3)).unwrap()];
        assert_eq!(steps(&batch, 1 << 20), Err(NotContiguous { end: at(1, len), next: at(1, 2 * len) }));
        let made = steps(&batch[..1], 1).unwrap();
        assert!(matches!(&made[..], [Step::Log { bytes, .. }] if bytes.len() as u64 == len));
    }
}
