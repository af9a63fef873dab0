//! Writes to a ledger and drops old segments of it until it is killed: `retaining <root>`. It says `recorded <count>`
//! for what is durable, and `cut <number> <events dropped>` for each cut.

use std::error::Error;
use std::time::Duration;

use dataset_events::Ledger;
use dataset_events_tests::child::{say_else, say_opened};

fn main() -> Result<(), Box<dyn Error>> {
    let root = std::env::args().nth(1).ok_or("no root")?;
    let options = Ledger::options().root(root).service("retaining", "1").journal_bytes(1 << 20);
    let options = options.segment_bytes(64 * 1024).keep_for(Duration::ZERO).drop_without_copy(true);
    let ledger = options.open()?;
    say_opened();
    let text = "x".repeat(4_000);
    let mut recorded = 0;
    loop {
        for tenant in ["acme", "globex", "initech"] {
            let ctx = ledger.context(tenant, "prod").build()?;
            for _ in 0..8 {
                ctx.event("probe.write").input("text", &text).record()?;
                recorded += 1;
            }
        }
        ledger.flush()?;
        say_else(&format!("recorded {recorded}"));
        if let Some(cut) = ledger.retain()?.cut {
            say_else(&format!("cut {} {}", cut.number, cut.events));
        }
    }
}
