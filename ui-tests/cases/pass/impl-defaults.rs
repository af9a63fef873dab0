// Defaults of an `impl` block hold for the methods that they fit.
use dataset_events::testing::TestLedger;
use dataset_events::{Code, Env, RequestContext, TenantId, UserId, dataset_event};

struct Full;

fn code_of(_: &Full) -> Code {
    Code::new("counters.full")
}

struct Counters {
    tenant: TenantId,
    env: Env,
    user: UserId,
}

#[dataset_event(engine = "counters", tenant = self.tenant, env = self.env, actor = self.user, error_code = code_of)]
impl Counters {
    pub fn count(&self) -> u32 {
        3
    }

    pub async fn count_later(&self) -> u32 {
        3
    }

    pub fn add(&self) -> Result<u32, Full> {
        Err(Full)
    }

    // The context has an actor of its own.
    pub fn count_for(&self, ctx: &RequestContext) -> u32 {
        let _ = ctx;
        3
    }
}

fn main() {
    let ledger = TestLedger::new();
    let _entered = ledger.enter();
    let ctx = ledger.context("acme", "prod").user_id("u_1").build().unwrap();
    let counters = Counters {
        tenant: TenantId::new("acme").unwrap(),
        env: Env::new("prod").unwrap(),
        user: UserId::new("u_2").unwrap(),
    };
    assert_eq!(counters.count(), 3);
    assert_eq!(futures::executor::block_on(counters.count_later()), 3);
    assert!(counters.add().is_err());
    assert_eq!(counters.count_for(&ctx), 3);
    ledger.assert_one("counters.count");
    ledger.assert_one("counters.count_later");
    ledger.assert_one("counters.add").code("counters.full");
    ledger.assert_one("counters.count_for");
    let lines = ledger.lines();
    for (surface, user) in [("counters.count", "u_2"), ("counters.count_for", "u_1")] {
        let is_its = |line: &&String| {
            line.contains(&format!("\"{surface}\"")) && line.contains(&format!("\"user_id\":\"{user}\""))
        };
        assert!(lines.iter().any(|line| is_its(&line)), "{surface} by {user}: {lines:#?}");
    }
}
