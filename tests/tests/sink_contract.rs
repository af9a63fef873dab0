//! The contract suite finds what a sink can do wrong: each fault here is found by the check that is there for it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use dataset_events::LedgerId;
use dataset_events::sinks::memory::{MemoryHeld, MemorySink};
use dataset_events::sinks::{Ack, Entry, EntryKind, Rejected, Sink, SinkError};
use dataset_events_tests::sink_contract::{self, FaultSwitch, Faulty, Network, Piece, Target};

/// What a sink does wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wrong {
    Nothing,
    /// An entry that comes again is stored again.
    StoresAgain,
    /// A batch that begins with what is there is taken for one that is there as a whole.
    TakesBatchesForRepeats,
    /// The last entry of a batch with more than 500 is left out.
    CutsLargeBatches,
    /// Entries of a batch are stored the other way round.
    TurnsBatches,
    /// Text is stored as UTF-8, whatever it was.
    MendsText,
    /// Lines over 64 KiB are cut.
    CutsLines,
    /// Attempts have the key of their events.
    TakesAttemptsForEvents,
    /// What cannot be parsed takes its whole batch with it.
    RejectsWholeBatches,
    /// Rejects what has no input.
    RejectsEmptyInput,
    /// Says that it cannot go on when it only has to wait.
    GivesUp,
    /// Says that a batch is stored, and has stored half of it.
    AcknowledgesHalf,
    /// Tells its token.
    TellsSecrets,
    /// Never returns.
    Hangs,
    /// Leaves head tables out.
    LeavesHeadTablesOut,
    /// Leaves cuts out.
    LeavesCutsOut,
}

const SECRET: &str = "s3cr3t";

struct WrongSink {
    inner: MemorySink,
    held: MemoryHeld,
    wrong: Wrong,
}

fn copies<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Vec<Entry> {
    entries.into_iter().map(|entry| Piece::from(entry).entry(entry.ledger_id())).collect()
}

impl WrongSink {
    fn altered(entry: &Entry, alter: impl Fn(&[u8]) -> Vec<u8>) -> Entry {
        let mut piece = Piece::from(entry);
        piece.bytes = alter(&piece.bytes);
        piece.entry(entry.ledger_id())
    }

    fn is_held(&self, entry: &Entry) -> bool {
        self.held.entries().iter().any(|held| held.key == entry.key() && held.ledger_id == entry.ledger_id())
    }
}

impl Sink for WrongSink {
    fn kind(&self) -> &'static str {
        "wrong"
    }

    fn append(&mut self, batch: &[Entry]) -> Result<Ack, SinkError> {
        let entries = match self.wrong {
            Wrong::StoresAgain => {
                // Something that is there already, under another key.
                let again =
                    batch.iter().find(|entry| self.is_held(entry) && entry.kind() == EntryKind::Event);
                let again = again.map(|entry| {
                    let id = Piece::from(entry).bytes;
                    let text =
                        String::from_utf8_lossy(&id).replacen("\"event_id\":\"01", "\"event_id\":\"00", 1);
                    Entry::line(entry.position(), text.into_bytes()).expect("a line")
                });
                copies(batch).into_iter().chain(again).collect()
            }
            Wrong::TakesBatchesForRepeats if self.is_held(&batch[0]) => return Ok(Ack::all()),
            Wrong::CutsLargeBatches => copies(batch.iter().take(500)),
            Wrong::TurnsBatches => copies(batch.iter().rev()),
            Wrong::MendsText => {
                let mend = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned().into_bytes();
                batch.iter().map(|entry| Self::altered(entry, mend)).collect()
            }
            Wrong::CutsLines => {
                let cut = |bytes: &[u8]| match bytes.len() {
                    0..65_536 => bytes.to_vec(),
                    _ => [&bytes[..60_000], b"}"].concat(),
                };
                batch.iter().map(|entry| Self::altered(entry, cut)).collect()
            }
            Wrong::TakesAttemptsForEvents => {
                copies(batch.iter().filter(|entry| entry.kind() != EntryKind::Attempt))
            }
            Wrong::RejectsWholeBatches
                if batch.iter().any(|entry| entry.kind() == EntryKind::Event && entry.event().is_none()) =>
            {
                let all = (0..batch.len()).map(|index| Rejected::new(index, "the batch cannot be parsed"));
                return Ok(Ack::all().with_rejected(all.collect()));
            }
            Wrong::RejectsEmptyInput => {
                let is_empty = |entry: &Entry| entry.event().is_some_and(|event| event.input.is_none());
                let rejected = batch.iter().enumerate().filter(|(_, entry)| is_empty(entry));
                let rejected = rejected.map(|(index, _)| Rejected::new(index, "no input")).collect();
                self.inner.append(&copies(batch.iter().filter(|entry| !is_empty(entry))))?;
                return Ok(Ack::all().with_rejected(rejected));
            }
            Wrong::AcknowledgesHalf => copies(&batch[..batch.len().div_ceil(2)]),
            Wrong::Hangs => loop {
                std::thread::park();
            },
            Wrong::LeavesHeadTablesOut => {
                copies(batch.iter().filter(|entry| entry.kind() != EntryKind::HeadTable))
            }
            Wrong::LeavesCutsOut => copies(batch.iter().filter(|entry| entry.kind() != EntryKind::Cut)),
            _ => copies(batch),
        };
        if !entries.is_empty() {
            self.inner.append(&entries)?;
        }
        Ok(Ack::all())
    }
}

/// Says other things than what it wraps when that fails.
struct Speaking(Faulty<WrongSink>, Wrong);

impl Sink for Speaking {
    fn kind(&self) -> &'static str {
        self.0.kind()
    }

    fn append(&mut self, batch: &[Entry]) -> Result<Ack, SinkError> {
        self.0.append(batch).map_err(|error| match self.1 {
            Wrong::GivesUp => SinkError::fatal("store, which cannot be", error),
            Wrong::TellsSecrets => SinkError::retry("store", format!("the token {SECRET} is refused")),
            _ => error,
        })
    }
}

struct WrongTarget {
    sink: MemorySink,
    switch: FaultSwitch,
    wrong: Wrong,
}

impl Target for WrongTarget {
    fn sink(&self) -> Box<dyn Sink> {
        let inner = WrongSink { inner: self.sink.clone(), held: self.sink.held(), wrong: self.wrong };
        let faulty = Faulty::new(inner, self.switch.clone(), Duration::from_millis(50));
        Box::new(Speaking(faulty, self.wrong))
    }

    fn held(&self, ledger_id: LedgerId) -> Vec<Piece> {
        let held = self.sink.held().entries().into_iter().filter(|entry| entry.ledger_id == ledger_id);
        held.map(|entry| Piece {
            kind: entry.kind,
            key: entry.key,
            position: entry.position,
            bytes: entry.bytes,
        })
        .collect()
    }

    fn time_limit(&self) -> Duration {
        if self.wrong == Wrong::Hangs { Duration::from_millis(300) } else { Duration::from_secs(10) }
    }

    fn secrets(&self) -> Vec<String> {
        vec![SECRET.to_owned()]
    }

    fn network(&mut self) -> Option<&mut dyn Network> {
        Some(&mut self.switch)
    }
}

fn run(check: &str, wrong: Wrong) -> Result<(), String> {
    let mut target = WrongTarget { sink: MemorySink::new(), switch: FaultSwitch::default(), wrong };
    catch_unwind(AssertUnwindSafe(|| sink_contract::run(check, &mut target, &[]))).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
    })
}

#[test]
fn each_fault_is_found_by_the_check_that_is_there_for_it() {
    let faults = [
        (Wrong::StoresAgain, "batches_that_come_again", "was never forwarded"),
        (Wrong::TakesBatchesForRepeats, "batches_cut_at_other_places", "is missing"),
        (Wrong::CutsLargeBatches, "more_entries_than_a_request_takes", "is missing"),
        (Wrong::TurnsBatches, "order_in_each_stream", "not in order"),
        (Wrong::MendsText, "a_poisoned_event_among_good_ones", "has other bytes"),
        (Wrong::CutsLines, "largest_lines", "has other bytes"),
        (Wrong::TakesAttemptsForEvents, "order_in_each_stream", "is missing: Attempt"),
        (Wrong::RejectsWholeBatches, "a_poisoned_event_among_good_ones", "together with a poisoned one"),
        (Wrong::RejectsEmptyInput, "empty_values", "rejected what a ledger writes"),
        (Wrong::GivesUp, "a_target_that_hangs", "gives up"),
        (Wrong::AcknowledgesHalf, "killed_between_batches", "is missing"),
        (Wrong::StoresAgain, "cursor_file_torn", "was never forwarded"),
        (Wrong::TakesBatchesForRepeats, "cursor_file_torn", "is missing"),
        (Wrong::StoresAgain, "killed_between_ack_and_cursor", "was never forwarded"),
        (Wrong::TakesBatchesForRepeats, "killed_between_ack_and_cursor", "is missing"),
        (Wrong::TellsSecrets, "away_when_opened", "a secret is told"),
        (Wrong::Hangs, "unicode", "did not return within"),
        (Wrong::LeavesCutsOut, "begins_at_a_cut", "is missing: Cut"),
        (Wrong::LeavesHeadTablesOut, "verified_from_the_target_alone", "assertion"),
    ];
    for (wrong, check, said) in faults {
        assert_eq!(run(check, Wrong::Nothing), Ok(()), "{check} of a sink without a fault");
        let found = run(check, wrong).expect_err(&format!("{check} does not find {wrong:?}"));
        assert!(found.contains(said), "{check} finds of {wrong:?} something else than {said:?}: {found}");
    }
}

#[test]
fn what_is_declared_must_be_true_of_the_target() {
    let mut target =
        WrongTarget { sink: MemorySink::new(), switch: FaultSwitch::default(), wrong: Wrong::Nothing };
    let mut run = |check: &str, declared: &[(&str, &str)]| {
        let result = catch_unwind(AssertUnwindSafe(|| sink_contract::run(check, &mut target, declared)));
        result.map_err(|panic| panic.downcast_ref::<String>().cloned().unwrap_or_default())
    };
    let missing = run("token_expired", &[]).expect_err("credentials are missing");
    assert!(missing.contains("declare why there is none"), "{missing}");
    run("token_expired", &[("token_expired", "nobody is asked for a token")]).expect("declared, and true");
    let untrue =
        run("unicode", &[("unicode", "it knows ASCII alone, and says so")]).expect_err("nothing is lacking");
    assert!(untrue.contains("has all that it needs"), "{untrue}");
    let unknown = catch_unwind(|| sink_contract::assert_declared(&[("unicorns", "there are none of them")]));
    assert!(unknown.is_err());
}
