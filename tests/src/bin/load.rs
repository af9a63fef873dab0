//! Opens the ledger of a root and makes calls from several threads until it is killed.
//!
//! `load <root> <seed> <threads>`

use std::path::PathBuf;
use std::thread;

use dataset_events::Ledger;
use dataset_events_tests::calls::Caller;
use dataset_events_tests::child::say_opened;
use dataset_events_tests::seed::Numbers;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let mut next = || args.next().ok_or("expected <root> <seed> <threads>");
    let root = PathBuf::from(next()?);
    let (seed, threads) = (next()?.parse::<u64>()?, next()?.parse::<u64>()?);
    // Calls panic on purpose, thousands of them.
    std::panic::set_hook(Box::new(|_| {}));
    let ledger = Ledger::options()
        .root(root)
        .service("load", "1")
        .journal_bytes(16 << 20)
        .segment_bytes(1 << 20)
        .open()
        .map_err(|error| format!("{}: {error}", error.code()))?;
    say_opened();
    thread::scope(|scope| {
        for thread in 0..threads {
            let ledger = &ledger;
            scope.spawn(move || {
                let mut numbers = Numbers::new(seed ^ thread << 56);
                let contexts = [("acme", "prod"), ("acme", "dev"), ("globex", "prod"), ("initech", "prod")]
                    .map(|(tenant, env)| ledger.context(tenant, env).user_id("u_1").build().expect("valid"));
                let mut caller = Caller::default();
                loop {
                    let at = numbers.below(contexts.len() as u64) as usize;
                    caller.call(&contexts[at], &mut numbers);
                }
            });
        }
    });
    Ok(())
}
