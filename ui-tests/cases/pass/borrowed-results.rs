//! Results that borrow from what the call was given.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

use dataset_events::testing::TestLedger;
use dataset_events::{RequestContext, dataset_event};

struct Store {
    ctx: RequestContext,
    names: HashMap<u32, String>,
}

impl Store {
    #[dataset_event(surface = "store.get", access = "read", ctx = self.ctx, input(id), output(len = ret.map(str::len)))]
    fn get(&self, id: u32) -> Option<&str> {
        self.names.get(&id).map(String::as_str)
    }

    #[dataset_event(surface = "store.entry", ctx = self.ctx, error_code = "store.missing")]
    fn entry(&mut self, id: u32) -> Result<&mut String, &'static str> {
        self.names.get_mut(&id).ok_or("missing")
    }

    #[dataset_event(surface = "store.find", access = "read", ctx = self.ctx, error_code = "store.missing", output(len = ret.len()))]
    async fn find(&self, id: u32) -> Result<&str, &'static str> {
        self.names.get(&id).map(String::as_str).ok_or("missing")
    }

    #[dataset_event(surface = "store.iter", access = "read", ctx = self.ctx)]
    fn iter(&self) -> impl Iterator<Item = &str> {
        self.names.values().map(String::as_str)
    }
}

#[dataset_event(surface = "store.lock")]
fn lock<'a>(ctx: &RequestContext, store: &'a Mutex<u32>) -> MutexGuard<'a, u32> {
    store.lock().unwrap()
}

fn main() {
    let ledger = TestLedger::new();
    let ctx = ledger.context("acme", "prod").build().unwrap();
    let mut store = Store { ctx: ctx.clone(), names: HashMap::from([(1, "one".to_owned())]) };
    assert_eq!(store.get(1), Some("one"));
    store.entry(1).unwrap().push('!');
    assert!(store.entry(2).is_err());
    assert_eq!(futures::executor::block_on(store.find(1)), Ok("one!"));
    assert_eq!(store.iter().count(), 1);
    assert_eq!(*lock(&ctx, &Mutex::new(7)), 7);
    ledger.assert_one("store.get").input("id", 1).output("len", 3);
    ledger.assert_one("store.find").output("len", 4);
}
