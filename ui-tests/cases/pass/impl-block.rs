use dataset_events::testing::TestLedger;
use dataset_events::{RequestContext, dataset_event};
use dataset_events::{Env, ErrorCode, Guarantee, TenantId, surfaces};

struct Chat {
    ctx: RequestContext,
}

#[derive(Debug, ErrorCode)]
#[code("chat.failed")]
struct Failed;

#[dataset_event(engine = "chat", ctx = self.ctx, access = "update")]
impl Chat {
    /// How many threads.
    pub const MAX: usize = 7;

    #[dataset_event(skip = "no data of a tenant")]
    pub const fn new(ctx: RequestContext) -> Self {
        Self { ctx }
    }

    /// Covered by the block.
    pub fn send(&self, text: &str) -> Result<usize, Failed> {
        self.private(text)
    }

    /// The signature comes before the block's `ctx`.
    pub fn send_as(&self, ctx: &RequestContext) {}

    pub fn open(ctx: &RequestContext) -> u8 {
        1
    }

    /// Parts are overridden.
    #[dataset_event(access = "read", input(text), output(len = ret), surface = "chat.look")]
    pub async fn read(&self, text: &str) -> Result<usize, Failed> {
        Ok(text.len())
    }

    pub(crate) fn crate_visible(&self) {}

    fn private(&self, text: &str) -> Result<usize, Failed> {
        Ok(text.len())
    }

    #[dataset_event]
    fn private_but_asked_for(&self) {}

    #[cfg(any())]
    pub fn compiled_out(&self) {}

    pub fn r#loop(&self) {}
}

#[dataset_event(engine = "chat.iter", ctx = self.ctx)]
impl Iterator for Chat {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        None
    }

    #[dataset_event(skip = "a hint about nothing")]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, None)
    }
}

const TENANT: TenantId = TenantId::from_static("acme");
const ENV: Env = Env::from_static("prod");

struct Static;

// Neither expression needs `self`: they hold for associated functions as well.
#[dataset_event(engine = "fixed", tenant = TENANT, env = ENV)]
impl Static {
    pub fn new() -> Self {
        Self
    }
}

impl Default for Static {
    fn default() -> Self {
        Self::new()
    }
}

struct Generic<T>(T, RequestContext);

#[dataset_event(engine = "generic", ctx = self.1)]
impl<T> Generic<T>
where
    T: Clone,
{
    pub fn get(&self) -> T {
        self.0.clone()
    }
}

fn main() {
    let ledger = TestLedger::new();
    let _here = ledger.enter();
    let ctx = ledger.context("acme", "prod").build().unwrap();
    let mut chat = Chat::new(ctx.clone());
    assert_eq!(chat.send("abc").unwrap(), 3);
    chat.send_as(&ctx);
    Chat::open(&ctx);
    chat.crate_visible();
    chat.private_but_asked_for();
    chat.r#loop();
    assert_eq!(chat.next(), None);
    assert_eq!(chat.size_hint(), (0, None));
    drop(chat.read("abc"));
    Static::new();
    assert_eq!(Generic(7, ctx).get(), 7);
    for surface in
        ["send", "send_as", "open", "crate_visible", "private_but_asked_for", "loop", "iter.next"]
    {
        ledger.assert_one(&format!("chat.{surface}")).ok();
    }
    ledger.assert_one("fixed.new").scope("acme", "prod");
    ledger.assert_one("generic.get");
    assert_eq!(ledger.events().len(), 9);
    let site = |name: &str| surfaces().find(|site| site.surface == name);
    assert_eq!(site("chat.new").unwrap().skip, Some("no data of a tenant"));
    assert_eq!(site("chat.iter.size_hint").unwrap().skip, Some("a hint about nothing"));
    assert_eq!(site("chat.look").unwrap().guarantee, Guarantee::Recorded);
    assert!(site("chat.private").is_none() && site("chat.compiled_out").is_none());
    assert_eq!(Chat::MAX, 7);
}
