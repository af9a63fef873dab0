//! The sink against a server that is a few maps, with every way in which a call can go wrong.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_array::cast::AsArray as _;
use arrow_array::types::Int64Type;
use arrow_array::{Array as _, RecordBatch};

use super::super::{Entry, EntryKind, MemoryState, Sink as _, SinkError, SinkStart, SinkState as _};
use super::row::TableKind;
use super::schema::key_column;
use super::state::Marks;
use super::transport::{Asked, Refusal, RefusalKind, Transport};
use super::{BigQuerySink, Saved};
use crate::ids::LedgerId;
use crate::log::LogPosition;

/// What goes wrong with the next append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The request is lost.
    RequestLost,
    /// The answer is lost.
    AnswerLost,
    /// The request arrives, but only later.
    Late,
    /// The server restarts after it, and forgets all streams; the answer is lost.
    Restart,
}

#[derive(Debug)]
struct Stream {
    table: TableKind,
    count: i64,
    is_finalized: bool,
}

/// A row as the server keeps it: its key and what else is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Kept {
    key: String,
    kind: String,
    position: LogPosition,
    number: Option<u64>,
}

#[derive(Debug, Default)]
struct Server {
    tables: HashMap<TableKind, Vec<Kept>>,
    streams: BTreeMap<String, Stream>,
    late: Vec<(String, i64, Vec<Kept>)>,
    faults: Vec<Fault>,
    /// Events whose line holds this are refused.
    poison: Option<String>,
    /// Every call fails.
    is_away: bool,
    made_streams: u64,
    lookups: u64,
    scans: u64,
    appended_offsets: Vec<i64>,
}

#[derive(Debug, Clone, Default)]
struct Fake(Arc<Mutex<Server>>);

fn refused<T>(kind: RefusalKind) -> Result<T, Refusal> {
    Err(Refusal::new(kind, "call the fake", "as the test wants it"))
}

impl Server {
    /// The table of an append, or why it is refused.
    fn check(&self, stream: &str, offset: i64) -> Result<TableKind, RefusalKind> {
        let stream = self.streams.get(stream).filter(|stream| !stream.is_finalized);
        let stream = stream.ok_or(RefusalKind::Gone)?;
        match offset.cmp(&stream.count) {
            std::cmp::Ordering::Less => Err(RefusalKind::Taken),
            std::cmp::Ordering::Greater => Err(RefusalKind::Beyond),
            std::cmp::Ordering::Equal => Ok(stream.table),
        }
    }

    fn take(&mut self, stream: &str, offset: i64, rows: Vec<Kept>) -> Result<(), RefusalKind> {
        let table = self.check(stream, offset)?;
        if let Some(stream) = self.streams.get_mut(stream) {
            stream.count += rows.len() as i64;
        }
        self.tables.entry(table).or_default().extend(rows);
        Ok(())
    }

    fn deliver_late(&mut self) {
        for (stream, offset, rows) in std::mem::take(&mut self.late) {
            let _ = self.take(&stream, offset, rows);
        }
    }

    fn restart(&mut self) {
        self.streams.clear();
        self.late.clear();
    }
}

impl Fake {
    fn server(&self) -> MutexGuard<'_, Server> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reached(&self) -> Result<MutexGuard<'_, Server>, Refusal> {
        let server = self.server();
        if server.is_away { refused(RefusalKind::Unknown) } else { Ok(server) }
    }

    fn sink(&self) -> BigQuerySink {
        self.sink_of("p.d.events", 8 << 20)
    }

    fn sink_of(&self, events: &str, max_request_bytes: usize) -> BigQuerySink {
        let fake = self.clone();
        let connect = Box::new(move || Ok(Box::new(fake.clone()) as Box<dyn Transport>));
        BigQuerySink::with_connect(connect, [events.to_owned(), "p.d.entries".to_owned()], max_request_bytes)
    }

    /// The keys of all rows, sorted; a row that is there twice is there twice.
    fn keys(&self) -> Vec<String> {
        let server = self.server();
        let mut keys: Vec<_> = server.tables.values().flatten().map(|kept| kept.key.clone()).collect();
        keys.sort();
        keys
    }
}

fn kept(table: TableKind, rows: &RecordBatch) -> Vec<Kept> {
    let text = |name: &str, row: usize| {
        rows.column_by_name(name).map(|column| column.as_string::<i32>().value(row).to_owned())
    };
    let number = |name: &str, row: usize| {
        let column = rows.column_by_name(name).filter(|column| !column.is_null(row))?;
        u64::try_from(column.as_primitive::<Int64Type>().value(row)).ok()
    };
    (0..rows.num_rows())
        .map(|row| Kept {
            key: text(key_column(table), row).expect("a key"),
            kind: text("kind", row).unwrap_or_else(|| "event".to_owned()),
            position: LogPosition {
                segment: number("log_segment", row).expect("a segment") as u32,
                offset: number("log_offset", row).expect("an offset"),
            },
            number: number("number", row),
        })
        .collect()
}

impl Transport for Fake {
    fn prepare(&mut self) -> Result<(), Refusal> {
        self.reached().map(drop)
    }

    fn create_stream(&mut self, table: TableKind) -> Result<String, Refusal> {
        let mut server = self.reached()?;
        server.made_streams += 1;
        let name = format!("stream-{}", server.made_streams);
        server.streams.insert(name.clone(), Stream { table, count: 0, is_finalized: false });
        Ok(name)
    }

    fn attach_stream(&mut self, _: TableKind, stream: &str) -> Result<(), Refusal> {
        let server = self.reached()?;
        if server.streams.contains_key(stream) { Ok(()) } else { refused(RefusalKind::Gone) }
    }

    fn finalize_stream(&mut self, _: TableKind, stream: &str) -> Result<(), Refusal> {
        let mut server = self.reached()?;
        match server.streams.get_mut(stream) {
            Some(stream) => {
                stream.is_finalized = true;
                Ok(())
            }
            None => refused(RefusalKind::Gone),
        }
    }

    fn append(
        &mut self,
        table: TableKind,
        stream: &str,
        offset: i64,
        rows: &RecordBatch,
    ) -> Result<(), Refusal> {
        let mut server = self.reached()?;
        server.appended_offsets.push(offset);
        let fault = server.faults.pop();
        if fault == Some(Fault::RequestLost) {
            return refused(RefusalKind::Unknown);
        }
        server.check(stream, offset).or_else(refused)?;
        let taken = kept(table, rows);
        if let Some(poison) = &server.poison {
            let lines = rows.column_by_name("line").expect("lines").as_string::<i32>().clone();
            let is_bad = |at: &usize| lines.value(*at).contains(poison.as_str());
            let bad: Vec<_> =
                (0..taken.len()).filter(is_bad).map(|at| (at, "bad value".to_owned())).collect();
            if !bad.is_empty() {
                return refused(RefusalKind::Rows(bad));
            }
        }
        if fault == Some(Fault::Late) {
            server.late.push((stream.to_owned(), offset, taken));
            return refused(RefusalKind::Unknown);
        }
        server.take(stream, offset, taken).or_else(refused)?;
        if fault == Some(Fault::Restart) {
            server.restart();
        }
        if fault.is_some() { refused(RefusalKind::Unknown) } else { Ok(()) }
    }

    fn stored(&mut self, table: TableKind, asked: &Asked<'_>) -> Result<HashSet<String>, Refusal> {
        let mut server = self.reached()?;
        server.lookups += 1;
        let rows = server.tables.entry(table).or_default();
        let keys = rows.iter().map(|kept| kept.key.clone());
        Ok(keys.filter(|key| asked.keys.contains(&key.as_str())).collect())
    }

    fn marks(&mut self, table: TableKind, _: LedgerId) -> Result<Marks, Refusal> {
        let mut server = self.reached()?;
        server.scans += u64::from(table == TableKind::Events);
        let mut marks = Marks::default();
        for kept in server.tables.get(&table).into_iter().flatten() {
            match kept.kind.as_str() {
                "event" | "attempt" => marks.line = marks.line.max(Some(kept.position)),
                "head_table" => marks.head_table = marks.head_table.max(Some(kept.position)),
                "checkpoint" => marks.checkpoint = marks.checkpoint.max(kept.number.unwrap_or_default()),
                "cut" => marks.cut = marks.cut.max(kept.number.unwrap_or_default()),
                _ => {
                    let hash = kept.key.trim_start_matches("identity:").trim_end_matches("/0");
                    marks.identities.insert(hash.to_owned());
                }
            }
        }
        Ok(marks)
    }
}

fn ledger() -> LedgerId {
    "01900000-0000-7000-8000-000000000001".parse().unwrap()
}

/// A line of the log: an event, or an attempt for each seventh.
fn line(number: u64) -> Entry {
    let kind = if number % 7 == 3 { "attempt" } else { "event" };
    let chained = match kind {
        "event" => format!(r#""seq":{number},"prev":"{}","#, "ab".repeat(32)),
        _ => String::new(),
    };
    let line = format!(
        concat!(
            r#"{{"schema_version":1,"kind":"{kind}","ledger_id":"{ledger}","#,
            r#""event_id":"01900000-0000-7000-9000-{number:012x}","tenant_id":"acme","env":"prod",{chained}"#,
            r#""surface":"chat.send","access":"create","started_at":{number}}}"#
        ),
        kind = kind,
        ledger = ledger(),
        number = number,
        chained = chained
    );
    Entry::line(LogPosition { segment: 1 + (number / 50) as u32, offset: number * 300 }, line.into_bytes())
        .expect("a line")
}

/// What a forwarder sends of a ledger with so many lines: the identity, a checkpoint after each ten lines, a head table
/// after each fifty.
fn log(lines: u64) -> Vec<Entry> {
    let mut entries = vec![Entry::identity(ledger(), b"{\"kind\":\"ledger\"}\n".to_vec())];
    for number in 1..=lines {
        entries.push(line(number));
        let behind = line(number + 1).position();
        if number % 50 == 0 {
            entries.push(Entry::head_table(ledger(), behind, format!("[{number}]\n").into_bytes()));
        }
        if number % 10 == 0 {
            let bytes = format!("{{\"number\":{}}}", number / 10).into_bytes();
            entries.push(Entry::checkpoint(ledger(), number / 10, behind, bytes));
        }
    }
    entries
}

/// The keys of rows that a log makes, sorted.
fn keys_of(entries: &[Entry]) -> Vec<String> {
    let rows = entries.iter().flat_map(|entry| super::rows_of(entry, 0).unwrap());
    let mut keys: Vec<_> = rows.map(|row| row.key).collect();
    keys.sort();
    keys
}

fn open(sink: &mut BigQuerySink, state: &MemoryState) -> Result<(), SinkError> {
    sink.open(&SinkStart::new(ledger(), &mut state.clone()))
}

fn opened(fake: &Fake, state: &MemoryState) -> BigQuerySink {
    let mut sink = fake.sink();
    open(&mut sink, state).unwrap();
    sink
}

#[test]
fn a_log_is_stored_once_and_in_order_without_asking_the_table() {
    let (fake, state) = (Fake::default(), MemoryState::default());
    let mut sink = opened(&fake, &state);
    let log = log(120);
    for batch in log.chunks(17) {
        assert_eq!(sink.append(batch).unwrap(), super::Ack::all());
    }
    assert_eq!(fake.keys(), keys_of(&log));
    let server = fake.server();
    assert_eq!((server.lookups, server.scans), (0, 0), "what is new is not looked up");
    for rows in server.tables.values() {
        assert!(rows.is_sorted_by_key(|kept| kept.position));
    }
}

#[test]
fn a_lost_answer_is_found_out_by_the_same_offset_and_nothing_is_asked() {
    let (fake, state) = (Fake::default(), MemoryState::default());
    let mut sink = opened(&fake, &state);
    let log: Vec<_> = log(40).into_iter().filter(|entry| entry.kind() == EntryKind::Event).collect();
    for batch in log.chunks(10) {
        fake.server().faults = vec![Fault::AnswerLost];
        assert!(matches!(sink.append(batch), Err(SinkError::Reopen { .. })));
        open(&mut sink, &state).unwrap();
        assert_eq!(sink.append(batch).unwrap().duplicates, batch.len() as u64);
    }
    assert_eq!(fake.keys(), keys_of(&log));
    let server = fake.server();
    assert_eq!(server.lookups, 0);
    assert_eq!(server.made_streams, 2, "both streams live on");
}

/// The batch comes again cut at other places after the process died: smaller, larger, and without what was in flight.
#[test]
fn another_cut_after_a_kill_loses_and_doubles_nothing() {
    for fault in [Fault::RequestLost, Fault::AnswerLost, Fault::Late, Fault::Restart] {
        for cut in [1, 3, 7, 20, 30] {
            for is_late_first in [true, false] {
                let (fake, state) = (Fake::default(), MemoryState::default());
                let log = log(60);
                let mut sink = opened(&fake, &state);
                sink.append(&log[..10]).unwrap();
                // The identity is there, so the first append of this batch is one of events.
                fake.server().faults = vec![fault];
                assert!(sink.append(&log[10..30]).is_err());
                drop(sink);
                let mut sink = opened(&fake, &state);
                if is_late_first {
                    fake.server().deliver_late();
                }
                for batch in log[10..].chunks(cut) {
                    sink.append(batch).unwrap();
                    fake.server().deliver_late();
                }
                assert_eq!(fake.keys(), keys_of(&log), "{fault:?}, cut {cut}, late first: {is_late_first}");
            }
        }
    }
}

#[test]
fn a_request_that_arrives_after_others_went_on_is_refused() {
    let (fake, state) = (Fake::default(), MemoryState::default());
    let log = log(60);
    let mut sink = opened(&fake, &state);
    sink.append(&log[..10]).unwrap();
    fake.server().faults = vec![Fault::Late];
    assert!(sink.append(&log[10..30]).is_err());
    drop(sink);
    // Somebody put the cursor elsewhere: nothing of what is in flight comes.
    let mut sink = opened(&fake, &state);
    sink.append(&log[30..]).unwrap();
    fake.server().deliver_late();
    let mut kept = self::log(60);
    kept.drain(10..30);
    assert_eq!(fake.keys(), keys_of(&kept));
    let ack = sink.append(&log[5..]).unwrap();
    assert_eq!(ack.duplicates as usize, log.len() - 25);
    assert_eq!(fake.keys(), keys_of(&log));
}

#[test]
fn a_restarted_server_that_forgot_its_streams_is_asked_for_what_it_holds() {
    let (fake, state) = (Fake::default(), MemoryState::default());
    let log = log(60);
    let mut sink = opened(&fake, &state);
    sink.append(&log[..20]).unwrap();
    fake.server().faults = vec![Fault::Restart];
    assert!(sink.append(&log[20..40]).is_err());
    open(&mut sink, &state).unwrap();
    assert!(sink.append(&log[20..40]).unwrap().duplicates > 0);
    sink.append(&log[40..]).unwrap();
    assert_eq!(fake.keys(), keys_of(&log));
    assert!(fake.server().lookups > 0);
}

#[test]
fn a_server_that_is_away_is_tried_again_and_nothing_is_lost() {
    let (fake, state) = (Fake::default(), MemoryState::default());
    let log = log(30);
    fake.server().is_away = true;
    let mut sink = fake.sink();
    assert!(matches!(open(&mut sink, &state), Err(SinkError::Reopen { .. })));
    assert!(matches!(sink.append(&log), Err(SinkError::Reopen { .. })));
    fake.server().is_away = false;
    open(&mut sink, &state).unwrap();
    sink.append(&log[..12]).unwrap();
    fake.server().is_away = true;
    assert!(matches!(sink.append(&log[12..]), Err(SinkError::Reopen { .. })));
    assert!(matches!(open(&mut sink, &state), Err(SinkError::Reopen { .. })));
    fake.server().is_away = false;
    open(&mut sink, &state).unwrap();
    sink.append(&log[12..]).unwrap();
    assert_eq!(fake.keys(), keys_of(&log));
}

#[test]
fn a_poisoned_row_is_rejected_and_the_rest_is_sent_again() {
    let (fake, state) = (Fake::default(), MemoryState::default());
    let log = log(20);
    let bad = log.iter().position(|entry| entry.text().contains(r#""seq":7,"#)).unwrap();
    fake.server().poison = Some(r#""seq":7,"#.to_owned());
    let mut sink = opened(&fake, &state);
    let ack = sink.append(&log).unwrap();
    assert_eq!(ack.rejected.iter().map(|rejected| rejected.index).collect::<Vec<_>>(), [bad]);
    assert_eq!(ack.rejected[0].reason, "bad value");
    let expected = keys_of(&log).into_iter().filter(|key| !keys_of(&log[bad..=bad]).contains(key));
    assert_eq!(fake.keys(), expected.collect::<Vec<_>>());
}

/// The rest of a poisoned request is in flight when the process dies: the bad row was in no request that could arrive,
/// and must be rejected again, not be taken for one that was stored.
#[test]
fn a_poisoned_row_is_still_rejected_after_a_kill() {
    for fault in [Fault::AnswerLost, Fault::RequestLost, Fault::Late] {
        let (fake, state) = (Fake::default(), MemoryState::default());
        let log = log(20);
        let bad = log.iter().position(|entry| entry.text().contains(r#""seq":7,"#)).unwrap();
        let mut sink = opened(&fake, &state);
        sink.append(&log[..1]).unwrap();
        fake.server().poison = Some(r#""seq":7,"#.to_owned());
        // Faults are taken from the end: the first request is refused for its row, the second meets the fault.
        fake.server().faults = vec![fault, fault];
        assert!(sink.append(&log[1..]).is_err());
        drop(sink);
        fake.server().faults.clear();
        let mut sink = opened(&fake, &state);
        let ack = sink.append(&log[1..]).unwrap();
        fake.server().deliver_late();
        assert_eq!(
            ack.rejected.iter().map(|rejected| rejected.index + 1).collect::<Vec<_>>(),
            [bad],
            "{fault:?}"
        );
        let expected = keys_of(&log).into_iter().filter(|key| !keys_of(&log[bad..=bad]).contains(key));
        assert_eq!(fake.keys(), expected.collect::<Vec<_>>(), "{fault:?}");
    }
}

#[test]
fn what_was_sent_long_ago_is_looked_up_and_what_is_gone_is_sent_again() {
    let (fake, state) = (Fake::default(), MemoryState::default());
    let log = log(60);
    let mut sink = opened(&fake, &state);
    sink.append(&log).unwrap();
    // Rows of some day were deleted.
    let mut server = fake.server();
    let events = server.tables.get_mut(&TableKind::Events).unwrap();
    let gone = events.drain(10..15).count();
    drop(server);
    let ack = sink.append(&log).unwrap();
    assert_eq!(ack.duplicates as usize, log.len() - gone);
    assert_eq!(fake.keys(), keys_of(&log));
}

#[test]
fn without_any_state_the_table_tells_what_it_holds() {
    let fake = Fake::default();
    let log = log(60);
    opened(&fake, &MemoryState::default()).append(&log[..40]).unwrap();
    let mut sink = opened(&fake, &MemoryState::default());
    assert_eq!(sink.append(&log[30..]).unwrap().duplicates, 10);
    assert_eq!(sink.append(&log).unwrap().duplicates as usize, log.len());
    assert_eq!(fake.keys(), keys_of(&log));
    assert_eq!(fake.server().scans, 1);
}

#[test]
fn a_damaged_state_counts_as_none() {
    let (fake, state) = (Fake::default(), MemoryState::default());
    let log = log(30);
    opened(&fake, &state).append(&log).unwrap();
    state.clone().save(b"{\"version\":1,").unwrap();
    let mut sink = opened(&fake, &state);
    assert_eq!(sink.append(&log).unwrap().duplicates as usize, log.len());
    assert_eq!(fake.keys(), keys_of(&log));
}

/// Somebody put an older copy of the state back: the stream is further than it says.
#[test]
fn a_state_that_is_older_than_its_stream_is_not_believed() {
    let (fake, state) = (Fake::default(), MemoryState::default());
    let log = log(60);
    let mut sink = opened(&fake, &state);
    sink.append(&log[..20]).unwrap();
    sink.close().unwrap();
    let older = state.load().unwrap();
    let mut sink = opened(&fake, &state);
    sink.append(&log[20..40]).unwrap();
    drop(sink);
    state.clone().save(&older).unwrap();
    let mut sink = opened(&fake, &state);
    while let Err(error) = sink.append(&log[20..]) {
        assert!(matches!(error, SinkError::Reopen { .. }), "{error:?}");
        open(&mut sink, &state).unwrap();
    }
    assert_eq!(fake.keys(), keys_of(&log));
}

#[test]
fn another_table_is_another_target() {
    let (fake, state) = (Fake::default(), MemoryState::default());
    let log = log(10);
    opened(&fake, &state).append(&log).unwrap();
    fake.server().tables.clear();
    let mut sink = fake.sink_of("p.d.others", 8 << 20);
    open(&mut sink, &state).unwrap();
    sink.append(&log).unwrap();
    assert_eq!(fake.keys(), keys_of(&log));
}

#[test]
fn requests_stay_under_the_limit_and_a_row_above_it_is_rejected() {
    let (fake, state) = (Fake::default(), MemoryState::default());
    let mut sink = fake.sink_of("p.d.events", 40_000);
    open(&mut sink, &state).unwrap();
    let mut log = log(99);
    let long = String::from_utf8(line(100).bytes().to_vec()).unwrap();
    let long = long.replace("}", &format!(",\"input\":{{\"text\":\"{}\"}}}}", "x".repeat(40_000)));
    log.push(Entry::line(line(100).position(), long.into_bytes()).unwrap());
    let ack = sink.append(&log).unwrap();
    assert_eq!(ack.rejected.len(), 1);
    assert_eq!(ack.rejected[0].index, log.len() - 1);
    assert!(ack.rejected[0].reason.contains("a request at most 40000"), "{}", ack.rejected[0].reason);
    assert_eq!(fake.keys(), keys_of(&log[..log.len() - 1]));
    assert!(fake.server().appended_offsets.len() > 4, "{:?}", fake.server().appended_offsets);
}

#[test]
fn a_clean_end_leaves_nothing_in_flight() {
    let (fake, state) = (Fake::default(), MemoryState::default());
    let log = log(30);
    let mut sink = opened(&fake, &state);
    sink.append(&log[..20]).unwrap();
    sink.close().unwrap();
    let saved = Saved::read(&state.load().unwrap(), ledger()).unwrap();
    assert!(saved.events.stream.unwrap().in_flight.is_none());
    let mut sink = opened(&fake, &state);
    sink.append(&log[20..]).unwrap();
    assert_eq!(fake.server().made_streams, 2);
    assert_eq!(fake.keys(), keys_of(&log));
}

/// A small generator, so that a failed run can be repeated from its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// A forwarder that cuts as it likes, dies between answer and cursor, and meets every fault, over and over.
#[test]
fn whatever_happens_each_row_is_stored_once() {
    for seed in 1..=200 {
        let mut random = Random(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed));
        let (fake, state) = (Fake::default(), MemoryState::default());
        let log = log(130);
        let mut sink = fake.sink();
        let mut is_open = false;
        let mut cursor = 0;
        let mut steps = 0;
        while cursor < log.len() {
            steps += 1;
            assert!(steps < 5_000, "seed {seed}: no progress");
            if random.below(6) == 0 {
                let fault = [Fault::RequestLost, Fault::AnswerLost, Fault::Late, Fault::Restart];
                let fault = fault[random.below(4) as usize];
                fake.server().faults = vec![fault];
            }
            match random.below(20) {
                0 => fake.server().deliver_late(),
                1 => fake.server().restart(),
                2 => fake.server().is_away = true,
                // The state is lost; what is on its way then could not be told from what is new.
                3 => {
                    fake.server().late.clear();
                    state.clone().save(b"torn").unwrap();
                    (sink, is_open) = (fake.sink(), false);
                }
                4 => (sink, is_open) = (fake.sink(), false),
                // The cursor is torn, or somebody replays.
                5 => cursor = random.below(cursor as u64 + 1) as usize,
                _ => fake.server().is_away = false,
            }
            if !is_open {
                is_open = open(&mut sink, &state).is_ok();
                continue;
            }
            let end = (cursor + 1 + random.below(40) as usize).min(log.len());
            match sink.append(&log[cursor..end]) {
                Ok(ack) => {
                    assert_eq!(ack.rejected, []);
                    // Else the process dies between the answer and the cursor.
                    if random.below(8) > 0 {
                        cursor = end;
                    } else {
                        (sink, is_open) = (fake.sink(), false);
                    }
                }
                Err(SinkError::Fatal { attempted, .. }) => panic!("seed {seed}: {attempted}"),
                Err(_) => is_open = false,
            }
        }
        fake.server().deliver_late();
        assert_eq!(fake.keys(), keys_of(&log), "seed {seed}");
    }
}
