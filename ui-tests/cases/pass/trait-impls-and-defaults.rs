use dataset_events::testing::TestLedger;
use dataset_events::{RequestContext, dataset_event};

trait Chat {
    fn ctx(&self) -> &RequestContext;

    #[dataset_event(surface = "pass.default", ctx = self.ctx())]
    fn default_method(&self) -> u32 {
        1
    }

    #[dataset_event(surface = "pass.async_default", ctx = self.ctx())]
    async fn async_default(&self) -> u32
    where
        Self: Sync,
    {
        1
    }

    fn implemented(&self, text: &str) -> Result<usize, std::fmt::Error>;
    async fn async_implemented(&mut self) -> usize;
}

struct Room(RequestContext);

impl Chat for Room {
    fn ctx(&self) -> &RequestContext {
        &self.0
    }

    #[dataset_event(surface = "pass.implemented", ctx = self.0, input(text), error_code = "pass.failed")]
    fn implemented(&self, text: &str) -> Result<usize, std::fmt::Error> {
        Ok(text.len())
    }

    #[dataset_event(surface = "pass.async_implemented", ctx = self.0)]
    async fn async_implemented(&mut self) -> usize {
        1
    }
}

fn main() {
    let ledger = TestLedger::new();
    let mut room = Room(ledger.context("acme", "prod").build().unwrap());
    assert_eq!(room.default_method(), 1);
    drop(room.async_default());
    assert_eq!(room.implemented("abc"), Ok(3));
    drop(room.async_implemented());
    ledger.assert_one("pass.default").ok();
    ledger.assert_one("pass.implemented").input("text", "abc");
}
