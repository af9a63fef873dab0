use dataset_events::testing::TestLedger;
use dataset_events::{RequestContext, dataset_event};
use dataset_events::{Env, TenantId, UserId};

struct Job {
    tenant: TenantId,
    env: Env,
    owner: UserId,
    steps: Vec<String>,
}

impl Job {
    #[dataset_event(surface = "jobs.step", tenant = self.tenant, env = &self.env, actor = self.owner, input(name), output(steps = *ret))]
    fn step(&mut self, name: &str) -> usize {
        self.steps.push(name.to_owned());
        self.steps.len()
    }

    #[dataset_event(surface = "jobs.last", access = "read", tenant = self.tenant, env = self.env, output(found = ret.is_some()))]
    fn last(&self) -> Option<&String> {
        self.steps.last()
    }

    #[dataset_event(surface = "jobs.take", tenant = self.tenant, env = self.env, output(count = ret.len(), name))]
    fn take(&mut self, name: &str) -> Vec<String> {
        std::mem::take(&mut self.steps)
    }
}

fn main() {
    let ledger = TestLedger::new();
    let _here = ledger.enter();
    let mut job = Job {
        tenant: TenantId::from_static("acme"),
        env: Env::from_static("prod"),
        owner: "u_1".parse().unwrap(),
        steps: Vec::new(),
    };
    job.step("one");
    assert_eq!(job.last().map(String::as_str), Some("one"));
    assert_eq!(job.take("all").len(), 1);
    ledger.assert_one("jobs.step").user("u_1").input("name", "one").output("steps", 1);
    ledger.assert_one("jobs.take").output("count", 1).output("name", "all");
    let _: Option<RequestContext> = None;
}
