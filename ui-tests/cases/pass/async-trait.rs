use dataset_events::testing::TestLedger;
use dataset_events::{RequestContext, dataset_event};

#[async_trait::async_trait]
trait Chat: Sync {
    fn ctx(&self) -> &RequestContext;
    async fn above<'a>(&'a self, text: &'a str) -> Result<&'a str, std::fmt::Error>;
    async fn below(&self, text: String) -> usize;
    #[dataset_event(surface = "pass.default", ctx = self.ctx(), input(text))]
    async fn default_method(&self, text: &str) -> usize {
        text.len()
    }
}

struct Room(RequestContext);

#[async_trait::async_trait]
impl Chat for Room {
    fn ctx(&self) -> &RequestContext {
        &self.0
    }

    #[dataset_event(surface = "pass.above", ctx = self.0, input(text), output(size = ret.len()), error_code = "pass.failed")]
    async fn above<'a>(&'a self, text: &'a str) -> Result<&'a str, std::fmt::Error> {
        std::future::ready(()).await;
        Ok(text)
    }

    async fn below(&self, text: String) -> usize {
        text.len()
    }
}

struct Other(RequestContext);

#[dataset_event(engine = "pass", ctx = self.0)]
#[async_trait::async_trait]
impl Chat for Other {
    #[dataset_event(skip = "hands the context out")]
    fn ctx(&self) -> &RequestContext {
        &self.0
    }

    #[dataset_event(skip = "recorded elsewhere")]
    async fn above<'a>(&'a self, text: &'a str) -> Result<&'a str, std::fmt::Error> {
        Ok(text)
    }

    #[dataset_event(input(text), output(size = ret))]
    async fn below(&self, text: String) -> usize {
        std::future::ready(()).await;
        text.len()
    }
}

fn main() {
    let ledger = TestLedger::new();
    let ctx = ledger.context("acme", "prod").build().unwrap();
    let (room, other) = (Room(ctx.clone()), Other(ctx));
    futures::executor::block_on(async {
        assert_eq!(room.above("abc").await, Ok("abc"));
        assert_eq!(room.default_method("abc").await, 3);
        assert_eq!(other.below("abc".to_owned()).await, 3);
        assert_eq!(room.below("abc".to_owned()).await, 3);
    });
    ledger.assert_one("pass.above").input("text", "abc").output("size", 3);
    ledger.assert_one("pass.default").input("text", "abc");
    ledger.assert_one("pass.below").input("text", "abc").output("size", 3);
}
