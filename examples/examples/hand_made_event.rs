//! What is not a function has its event too: made by hand, with the same schema and the same guarantees.

use std::error::Error;

use dataset_events::{Access, Env, Guarantee, Ledger, Outcome, TenantId};

fn main() -> Result<(), Box<dyn Error>> {
    let ledger = Ledger::dev()?;
    let (tenant, env) = (TenantId::new("acme")?, Env::new("prod")?);
    let ctx = ledger.context(&tenant, &env).user_id("ops_7").request_id("change-2041").build()?;

    // When this returns, the event is on the disk.
    let event_id = ctx
        .event("audit.key_rotated")
        .access(Access::Update)
        .guarantee(Guarantee::Durable)
        .input("reason", &"scheduled")
        .source_ref("signing_key", "key_8")
        .change("active_key", &"key_7", &"key_8")
        .record()?;

    ledger.flush()?;
    let mut rotations =
        ledger.scope(&tenant, &env).events().surface("audit.*").newest_first().limit(1).iter();
    let event = rotations.next().ok_or("the event was recorded")??.event;
    assert_eq!(event.event_id, event_id);
    assert_eq!((event.surface.as_str(), event.outcome), ("audit.key_rotated", Outcome::Ok));
    assert_eq!(event.user_id().map(|user| user.as_str()), Some("ops_7"));
    assert_eq!(event.request_id.as_str(), "change-2041");
    assert_eq!(event.changes[0].after.get(), "\"key_8\"");

    // A name that no surface can have is refused, with a code, and records nothing.
    let refused = ctx.event("Key Rotated").record();
    assert!(refused.is_err());
    println!("event {event_id} is number {} of {}", event.seq, event.scope());
    Ok(())
}
