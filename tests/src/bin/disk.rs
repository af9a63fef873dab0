//! Opens a ledger where the disk is not as it should be, and says what became of it.
//!
//! `disk <root> open|memory|full-while-running|full-for-a-while|leave|leave-named|leave-in <journal dir>`

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dataset_events::{
    Env, Health, Ledger, LedgerError, LedgerUnavailable, OnUnavailable, OpenError, RequestContext, TenantId,
    dataset_event,
};
use dataset_events_tests::child::say_else;
use dataset_events_tests::log::{Log, only_ledger};

#[dataset_event(surface = "disk.recorded", access = "read", input(n, text))]
fn recorded(ctx: &RequestContext, n: u64, text: &str) {}

#[dataset_event(surface = "disk.durable", guarantee = "durable", input(n))]
fn durable(ctx: &RequestContext, n: u64, has_run: &mut bool) -> Result<(), LedgerUnavailable> {
    *has_run = true;
    Ok(())
}

/// One line: the code, the message, and each source.
fn told(error: &OpenError) -> String {
    let mut text = format!("{} | {error}", error.code());
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text.push_str(&format!(" | {error}"));
        source = error.source();
    }
    text
}

fn open(root: &Path) -> Result<Ledger, OpenError> {
    Ledger::options().root(root).service("disk", "1").journal_bytes(1 << 20).open()
}

/// In a root on a small file system of its own: a foreign file fills it, and goes again.
fn full_while_running(root: &Path) -> Result<(), Box<dyn std::error::Error>> {
    const AFTER: u64 = 200;
    let foreign = root.join("foreign");
    let ledger = open(root)?;
    let ctx = ledger.context("acme", "prod").build()?;
    let mut has_run = false;
    durable(&ctx, 0, &mut has_run)?;
    assert!(has_run, "there was room");
    // All but some kilobytes: a page that the log has begun can still be written.
    let filled = fs::write(&foreign, vec![0; 64 << 20]);
    assert!(filled.is_err(), "the file system is smaller than this");
    recorded(&ctx, 0, &"x".repeat(30_000));
    let error = ledger.flush().expect_err("the log cannot grow");
    assert!(error.to_string().contains("append to log segment"), "{error}");
    assert!(matches!(ledger.health(), Health::Failed { .. }), "{:?}", ledger.health());

    let mut has_run = false;
    let refused = durable(&ctx, 1, &mut has_run).expect_err("no attempt can be made durable");
    assert!(!has_run, "the body of a refused call does not run: {refused}");
    for n in 1..AFTER {
        recorded(&ctx, n, "in the journal");
    }
    assert_eq!(ledger.stats().shed, 0, "the journal has room for these");
    // Until the journal is full too; then calls are counted.
    let mut n = AFTER;
    while ledger.stats().shed == 0 {
        recorded(&ctx, n, &"x".repeat(4_000));
        n += 1;
    }
    // Still full: opening again is refused, and costs nothing.
    drop(ctx);
    assert!(ledger.close().is_err(), "not everything is in the log");
    let error = open(root).map(drop).expect_err("the disk is still full");
    say_else(&told(&error));

    fs::remove_file(&foreign)?;
    let ledger = open(root)?;
    assert_eq!(ledger.health(), Health::Green);
    let ctx = ledger.context("acme", "prod").build()?;
    let mut has_run = false;
    durable(&ctx, 2, &mut has_run)?;
    assert!(has_run, "there is room again");
    drop(ctx);
    ledger.close()?;
    let log = Log::read(&only_ledger(root));
    let seen: Vec<u64> = log.events_of("disk.recorded").map(|event| event.input_number("n")).collect();
    let lost = log.lost().get("acme/prod").copied().unwrap_or_default();
    assert_eq!(seen.len() as u64 + lost, n, "recorded and lost add up");
    assert_eq!(lost, 1, "only the last one found no room");
    assert_eq!(seen, (0..n - 1).collect::<Vec<_>>(), "in their order");
    let outcomes: Vec<_> =
        log.events_of("disk.durable").map(|event| (&*event.outcome, &*event.code)).collect();
    assert_eq!(outcomes, [("ok", ""), ("error", "ledger.unavailable"), ("ok", "")]);
    Ok(())
}

/// A foreign file fills the file system for a while: the ledger goes on by itself when it is gone.
fn full_for_a_while(root: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let foreign = root.join("foreign");
    let ledger = open(root)?;
    let ctx = ledger.context("acme", "prod").build()?;
    let mut has_run = false;
    for round in 0..3 {
        durable(&ctx, round * 2, &mut has_run)?;
        assert!(std::mem::take(&mut has_run), "there was room");
        assert!(fs::write(&foreign, vec![0; 64 << 20]).is_err(), "the file system is smaller than this");
        recorded(&ctx, round, &"x".repeat(30_000));
        let error = ledger.flush().expect_err("the log cannot grow");
        assert!(matches!(error, LedgerError::NoRoom { .. }), "{error}");
        assert!(matches!(ledger.health(), Health::Failed { .. }), "{:?}", ledger.health());
        durable(&ctx, round * 2 + 1, &mut has_run).expect_err("no attempt can be made durable");
        assert!(!has_run, "the body of a refused call does not run");
        fs::remove_file(&foreign)?;
        let deadline = Instant::now() + Duration::from_secs(30);
        while ledger.health() != Health::Green && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        ledger.flush()?;
    }
    drop(ctx);
    assert_eq!(ledger.stats().shed, 0);
    ledger.close()?;
    say_else("green again");
    let log = Log::read(&only_ledger(root));
    let seen: Vec<u64> = log.events_of("disk.recorded").map(|event| event.input_number("n")).collect();
    assert_eq!(seen, [0, 1, 2]);
    let outcomes: Vec<_> = log.events_of("disk.durable").map(|event| &*event.outcome).collect();
    assert_eq!(outcomes, ["ok", "error", "ok", "error", "ok", "error"]);
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let root = PathBuf::from(args.next().ok_or("expected <root>")?);
    match &*args.next().ok_or("expected what to do")? {
        "open" => match open(&root) {
            Ok(_) => say_else("opened"),
            Err(error) => say_else(&told(&error)),
        },
        "memory" => {
            let ledger = Ledger::options().root(&root).on_unavailable(OnUnavailable::Memory).open()?;
            let ctx = ledger.context("acme", "prod").build()?;
            let mut has_run = false;
            recorded(&ctx, 7, "kept");
            durable(&ctx, 8, &mut has_run)?;
            ledger.flush()?;
            let reader = ledger.scope(&TenantId::from_static("acme"), &Env::from_static("prod"));
            say_else(&format!("{:?} {} {has_run}", ledger.path(), reader.events().count()?));
        }
        "full-while-running" => full_while_running(&root)?,
        "full-for-a-while" => full_for_a_while(&root)?,
        how @ ("leave" | "leave-named" | "leave-in") => {
            let mut options = Ledger::options().root(&root).journal_bytes(1 << 20);
            if how == "leave-in" {
                options = options.journal_dir(args.next().ok_or("expected <journal dir>")?);
            }
            if how == "leave-named" {
                options = options.service("disk", "1");
            }
            // No group is made by itself: what is recorded stands in the journal alone.
            let ledger = options.group_interval(Duration::from_secs(10)).open()?;
            ledger.flush()?;
            let ctx = ledger.context("acme", "prod").build()?;
            for n in 0..10 {
                recorded(&ctx, n, "left");
            }
            std::process::abort();
        }
        other => return Err(format!("unknown: {other}").into()),
    }
    Ok(())
}
