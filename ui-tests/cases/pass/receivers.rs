use dataset_events::testing::TestLedger;
use dataset_events::{RequestContext, dataset_event};
use std::pin::Pin;
use std::sync::Arc;

struct Chat {
    ctx: RequestContext,
    sent: u32,
}

impl Chat {
    #[dataset_event(surface = "pass.shared", ctx = self.ctx)]
    fn shared(&self) -> u32 {
        self.sent
    }

    #[dataset_event(surface = "pass.exclusive", ctx = self.ctx, output(sent = *ret))]
    fn exclusive(&mut self) -> &mut u32 {
        self.sent += 1;
        &mut self.sent
    }

    #[dataset_event(surface = "pass.owned", ctx = self.ctx)]
    fn owned(self) -> u32 {
        self.sent
    }

    #[dataset_event(surface = "pass.boxed", ctx = self.ctx)]
    fn boxed(self: Box<Self>) -> u32 {
        self.sent
    }

    #[dataset_event(surface = "pass.counted", ctx = self.ctx)]
    async fn counted(self: Arc<Self>) -> u32 {
        self.sent
    }

    #[dataset_event(surface = "pass.pinned", ctx = self.ctx)]
    fn pinned(mut self: Pin<&mut Self>) -> u32 {
        self.sent += 1;
        self.sent
    }

    #[dataset_event(surface = "pass.associated")]
    fn associated(ctx: RequestContext) -> Self {
        Self { ctx, sent: 0 }
    }
}

fn main() {
    let ledger = TestLedger::new();
    let ctx = ledger.context("acme", "prod").build().unwrap();
    let mut chat = Chat::associated(ctx.clone());
    *chat.exclusive() += 1;
    assert_eq!(chat.shared(), 2);
    assert_eq!(Pin::new(&mut chat).pinned(), 3);
    assert_eq!(chat.owned(), 3);
    assert_eq!(Box::new(Chat::associated(ctx.clone())).boxed(), 0);
    drop(Arc::new(Chat::associated(ctx)).counted());
    for surface in ["shared", "exclusive", "owned", "boxed", "pinned"] {
        ledger.assert_one(&format!("pass.{surface}")).ok();
    }
}
