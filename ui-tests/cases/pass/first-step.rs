//! The first step as README shows it, to the letter, in a program whose signatures and error types stay as
//! they are.

use dataset_events::TenantId;

use dataset_events::{Env, Ledger, dataset_event};
const ENV: Env = Env::from_static("prod");

struct Orders {
    tenant: TenantId,
    taken: Vec<u32>,
}

impl Orders {
    #[dataset_event(surface = "orders.create", tenant = self.tenant, env = ENV, error_code = "orders.failed")]
    fn create(&mut self, count: u32) -> Result<usize, String> {
        if count == 0 {
            return Err("nothing ordered".to_owned());
        }
        self.taken.push(count);
        Ok(self.taken.len())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let _ledger = Ledger::dev()?;
    let mut orders = Orders { tenant: TenantId::from_static("acme"), taken: Vec::new() };
    assert_eq!(orders.create(3)?, 1);
    assert!(orders.create(0).is_err());
    Ok(())
}
