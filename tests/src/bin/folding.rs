//! Folds a scope of a root's ledgers: `folding <root> <snapshots>`. Its parent tells it by lines on its stdin when
//! to fold (`fold`), when to save (`save`), and to do both until it is killed (`on`).

use std::error::Error;
use std::io::BufRead as _;

use dataset_events::read_models::{Folded, SnapshotStore};
use dataset_events::{Env, LedgerSet, TenantId};
use dataset_events_tests::child::{say_else, say_opened};
use dataset_events_tests::folded::models;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (root, snapshots) = (args.next().ok_or("no root")?, args.next().ok_or("no directory of snapshots")?);
    let scope = LedgerSet::options().root(root).open().scope(&TenantId::new("acme")?, &Env::new("prod")?);
    let store = SnapshotStore::open(snapshots)?;
    let mut folded = Folded::open(&scope, models(), &store)?.save_every(u64::MAX);
    say_opened();
    for told in std::io::stdin().lock().lines() {
        match told?.as_str() {
            "fold" => {
                folded.refresh();
                say_else(&format!("folded {}", folded.snapshot().events));
            }
            "save" => say_else(&format!("saved {}", folded.save().is_saved)),
            "on" => loop {
                folded.refresh();
                folded.save();
                say_else("again");
            },
            other => return Err(format!("told {other:?}, which is unknown").into()),
        }
    }
    Ok(())
}
