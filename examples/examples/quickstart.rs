//! One attribute, one event for each call: what the ledger holds of an order that works and one that fails.

use std::error::Error;

use dataset_events::{Env, Ledger, Outcome, TenantId, dataset_event};

const ENV: Env = Env::from_static("prod");

struct Orders {
    tenant: TenantId,
}

impl Orders {
    #[dataset_event(
        surface = "orders.create",
        tenant = self.tenant,
        env = ENV,
        error_code = "orders.failed",
        input(sku, quantity),
        output(total_cents = ret),
    )]
    fn create(&self, sku: &str, quantity: &str) -> Result<u64, std::num::ParseIntError> {
        let quantity: u64 = quantity.parse()?;
        let price_cents = if sku == "lamp" { 4_900 } else { 1_250 };
        Ok(quantity * price_cents)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let ledger = Ledger::dev()?;
    let orders = Orders { tenant: TenantId::new("acme")? };

    assert_eq!(orders.create("lamp", "2")?, 9_800);
    assert!(orders.create("chair", "two").is_err());

    ledger.flush()?;
    let newest = ledger.scope(&orders.tenant, &ENV).events().newest_first().limit(2);
    let events =
        newest.iter().map(|stored| stored.map(|stored| stored.event)).collect::<Result<Vec<_>, _>>()?;

    let [failed, worked] = events.as_slice() else { return Err("two calls, two events".into()) };
    assert_eq!((worked.surface.as_str(), worked.outcome), ("orders.create", Outcome::Ok));
    assert_eq!(worked.output_value()["total_cents"], 9_800);
    assert_eq!((failed.outcome, failed.code()), (Outcome::Error, Some("orders.failed")));
    assert_eq!(failed.input_value()["quantity"], "two");
    println!(
        "event {} of acme/prod is an order that worked, event {} one that failed",
        worked.seq, failed.seq
    );
    Ok(())
}
