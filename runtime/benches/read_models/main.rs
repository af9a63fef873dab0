//! Does a refresh after 1,000 new events cost the same at 10^4, 10^5 and 10^6 events in the scope?
//!
//! Asked of a ledger of this process, and of the log of one as another process would write it, whose index is
//! in memory or a file. 1,000 events are appended and four models are refreshed, 21 times; each round takes all
//! sizes in turn, so that what else the machine does falls on all of them alike. Printed are medians, each with
//! its ratio to the smallest size. The row `refresh` is the question: it is all the rows above it, from the
//! moment when the events are in the log. Its ratio is to be at most 1.2, and so is that of reading a foreign
//! ledger's new lines into its index; otherwise the bench fails.
//!
//! Beside them: reading a day's window, a page of the newest 50 events, one trace, and writing a snapshot, whose
//! size depends on surfaces, hours and spread, not on events as such. The index thread of an own ledger works
//! beside the reader, so its part is in the row that has to wait for it.
//!
//! `cargo bench -p dataset-events --bench read_models [-- 10000 100000]`; arguments set the sizes.

mod logs;

use std::error::Error;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use dataset_events::read_models::{
    Activity, Failures, Field, Folded, Latency, ReadModel, SnapshotStore, Totals, Window,
};
use dataset_events::{Env, LedgerSet, SetScope, TenantId};

use logs::{ForeignLog, IN_TRACE, OwnLog};

const NEW_EVENTS: u64 = 1_000;
const ROUNDS: u64 = 21;
const BOUND: f64 = 1.2;
const REFRESH: &str = "refresh";
const NEW_LINES: &str = "  read the new lines";

/// Whose ledger is read, and where its index is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Own,
    ForeignInMemory,
    ForeignOnDisk,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Own, Self::ForeignInMemory, Self::ForeignOnDisk];

    fn name(self) -> &'static str {
        match self {
            Self::Own => "own ledger",
            Self::ForeignInMemory => "foreign, index in memory",
            Self::ForeignOnDisk => "foreign, index_directory",
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut sizes: Vec<u64> = std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    if sizes.is_empty() {
        sizes = vec![10_000, 100_000, 1_000_000];
    }
    let mut too_dear = Vec::new();
    for kind in Kind::ALL {
        let mut stages = Vec::new();
        for size in &sizes {
            stages.push(Stage::new(kind, *size)?);
        }
        for round in 0..ROUNDS {
            for stage in &mut stages {
                stage.round(round)?;
            }
        }
        for (row, ratio) in print(kind, &mut stages)? {
            let is_bound = row == REFRESH || (row == NEW_LINES && kind != Kind::Own);
            if is_bound && ratio > BOUND {
                too_dear.push(format!("{}, {}: {ratio:.2}", kind.name(), row.trim()));
            }
        }
    }
    match too_dear.is_empty() {
        true => Ok(()),
        false => Err(format!("the cost of a refresh grows beyond {BOUND}: {}", too_dear.join(", ")).into()),
    }
}

/// Prints the medians; answers of each row the largest ratio to the smallest scope's.
fn print(kind: Kind, stages: &mut [Stage]) -> Result<Vec<(&'static str, f64)>, Box<dyn Error>> {
    let mut header = format!("{:<28}", kind.name());
    for stage in &mut *stages {
        stage.rows.iter_mut().for_each(|(_, times)| times.sort_unstable());
        write!(header, "{:>14}{:>8}", stage.size, "ratio")?;
    }
    println!("{header}");
    let mut ratios = Vec::new();
    for (row, (name, _)) in stages[0].rows.iter().enumerate() {
        let median = |stage: &Stage| stage.rows[row].1[ROUNDS as usize / 2].as_secs_f64() * 1e6;
        let smallest = median(&stages[0]);
        let mut line = format!("{name:<28}");
        let mut largest = 1.0_f64;
        for stage in &*stages {
            let (time, ratio) = (median(stage), median(stage) / smallest);
            write!(line, "{time:>11.1} us{ratio:>8.2}")?;
            largest = largest.max(ratio);
        }
        println!("{line}");
        ratios.push((*name, largest));
    }
    println!();
    Ok(ratios)
}

enum Log {
    Own(OwnLog),
    Foreign(ForeignLog),
}

/// What was timed, and its times.
type Row = (&'static str, Vec<Duration>);

/// One scope of so many events, its models, and what they cost.
struct Stage {
    size: u64,
    log: Log,
    scope: SetScope,
    activity: Folded<Activity>,
    failures: Folded<Failures>,
    latency: Folded<Latency>,
    totals: Folded<Totals>,
    rows: Vec<Row>,
    /// Goes last.
    _directory: tempfile::TempDir,
}

impl Stage {
    fn new(kind: Kind, size: u64) -> Result<Self, Box<dyn Error>> {
        let directory = tempfile::tempdir()?;
        let path = directory.path();
        let (log, set) = match kind {
            Kind::Own => {
                let mut log = OwnLog::new(&path.join("root"))?;
                log.append(size)?;
                let set = LedgerSet::options().ledger(&log.ledger).open();
                (Log::Own(log), set)
            }
            Kind::ForeignInMemory | Kind::ForeignOnDisk => {
                let ledger = path.join("ledger");
                let mut log = ForeignLog::new(&ledger, size)?;
                log.append(size)?;
                let options = LedgerSet::options().directory(&ledger);
                let options = match kind {
                    Kind::ForeignOnDisk => options.index_directory(path.join("indexes")),
                    _ => options,
                };
                (Log::Foreign(log), options.open())
            }
        };
        let scope = set.scope(&TenantId::new("acme")?, &Env::new("prod")?);
        let store = SnapshotStore::open(path.join("snapshots"))?;
        let spend =
            Totals::of("budget.*", Field::Input("cost".into())).group_by(Field::Input("provider".into()));
        let activity = Folded::open(&scope, Activity, &store)?;
        if let Some(unread) = activity.last_refresh().unread.first() {
            return Err(unread.to_string().into());
        }
        Ok(Self {
            size,
            log,
            activity,
            failures: Folded::open(&scope, Failures, &store)?,
            latency: Folded::open(&scope, Latency, &store)?,
            totals: Folded::open(&scope, spend, &store)?,
            scope,
            rows: Vec::new(),
            _directory: directory,
        })
    }

    fn round(&mut self, round: u64) -> Result<(), Box<dyn Error>> {
        let trace_id = match &mut self.log {
            Log::Own(log) => {
                log.append(NEW_EVENTS)?;
                log.trace_id.ok_or("no trace was begun")?
            }
            Log::Foreign(log) => {
                log.append(NEW_EVENTS)?;
                log.trace_id(round, self.size)?
            }
        };
        let scope = self.scope.clone();
        let mut all = Duration::ZERO;
        let steps = [
            (NEW_LINES, timed(|| drop(scope.set().refresh()))),
            ("  fold activity", refreshed(&mut self.activity)?),
            ("  fold failures", refreshed(&mut self.failures)?),
            ("  fold latency", refreshed(&mut self.latency)?),
            ("  fold totals", refreshed(&mut self.totals)?),
        ];
        for (name, time) in steps {
            all += time;
            self.note(name, time);
        }
        self.note(REFRESH, all);
        let end = self.activity.as_of().unwrap_or_default() + 1;
        let window = timed(|| drop(self.activity.state().window(Window::Day, end)));
        self.note("window of a day", window);
        let newest = || scope.events().newest_first().page(50).map(|page| page.events.len());
        self.note("newest 50 events", timed(|| assert!(matches!(newest(), Ok(50)))));
        let trace = || scope.trace(trace_id, 100).map(|tree| tree.nodes.len() as u64);
        self.note("one trace", timed(|| assert!(matches!(trace(), Ok(IN_TRACE)))));
        let saved = timed(|| assert!(self.activity.save().is_saved));
        self.note("write a snapshot (activity)", saved);
        let saved = timed(|| assert!(self.latency.save().is_saved));
        self.note("write a snapshot (latency)", saved);
        Ok(())
    }

    fn note(&mut self, name: &'static str, time: Duration) {
        match self.rows.iter_mut().find(|(row, _)| *row == name) {
            Some((_, times)) => times.push(time),
            None => self.rows.push((name, vec![time])),
        }
    }
}

fn timed(work: impl FnOnce()) -> Duration {
    let began = Instant::now();
    work();
    began.elapsed()
}

fn refreshed<M: ReadModel>(folded: &mut Folded<M>) -> Result<Duration, Box<dyn Error>> {
    let began = Instant::now();
    let refreshed = folded.refresh();
    let time = began.elapsed();
    match (refreshed.new_events, &refreshed.unread[..]) {
        (NEW_EVENTS, []) => Ok(time),
        (other, unread) => Err(format!("read {other} new events, not {NEW_EVENTS}; {unread:?}").into()),
    }
}
