use super::*;
use dataset_events::testing::TestLedger;

fn told(ledger: &TestLedger) -> Vec<u64> {
    let events = ledger.events_of("http.request").into_iter();
    events.map(|event| event.output_value()["stands_for"].as_u64().unwrap()).collect()
}

fn refusal(ledger: &TestLedger, tenant: &str) -> Refusal {
    let ctx = ledger.context(tenant, "test").build().unwrap();
    Refusal { ctx, method: "GET", route: Arc::from("/a") }
}

#[tokio::test(start_paused = true)]
async fn each_event_says_for_how_many_it_stands() {
    let ledger = TestLedger::new();
    let refusals = Arc::new(Refusals::new(Duration::from_secs(1)));
    for _ in 0..100 {
        refusals.count(refusal(&ledger, "acme"));
    }
    refusals.count(refusal(&ledger, "globex"));
    assert_eq!(told(&ledger), [1, 1]);
    tokio::time::sleep(Duration::from_millis(1_001)).await;
    assert_eq!(told(&ledger), [1, 1, 99]);
    for _ in 0..5 {
        refusals.count(refusal(&ledger, "acme"));
    }
    assert_eq!(refusals.flush(), Told { told: 5, untold: 0 });
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(told(&ledger), [1, 1, 99, 5]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_refusal_is_lost_between_threads_and_timers() {
    let ledger = TestLedger::new();
    let refusals = Arc::new(Refusals::new(Duration::from_millis(1)));
    let tasks = (0..8).map(|task| {
        let refusals = Arc::clone(&refusals);
        let refusal = refusal(&ledger, if task % 2 == 0 { "acme" } else { "globex" });
        tokio::spawn(async move {
            for round in 0..500 {
                refusals.count(refusal.clone());
                if round % 10 == 0 {
                    tokio::task::yield_now().await;
                }
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    refusals.flush();
    assert_eq!(told(&ledger).iter().sum::<u64>(), 8 * 500);
}

#[tokio::test(start_paused = true)]
async fn what_the_ledger_does_not_take_is_counted_on() {
    let ledger = TestLedger::new();
    let refusals = Arc::new(Refusals::new(Duration::from_secs(1)));
    refusals.count(refusal(&ledger, "acme"));
    ledger.ledger().clone().close().unwrap();
    let lost = ledger.ledger().stats().after_close;
    for _ in 0..5_000 {
        refusals.count(refusal(&ledger, "acme"));
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(refusals.flush(), Told { told: 0, untold: 5_000 });
    refusals.count(refusal(&ledger, "acme"));
    assert_eq!(refusals.flush(), Told { told: 0, untold: 5_001 });
    // None of the tries was counted as one event that is lost.
    assert_eq!(ledger.ledger().stats().after_close, lost);
}

#[tokio::test(start_paused = true)]
async fn keys_without_refusals_are_forgotten_and_no_refusal_with_them() {
    let ledger = TestLedger::new();
    let refusals = Arc::new(Refusals::new(Duration::from_secs(1)));
    for number in 0..500 {
        refusals.count(refusal(&ledger, &format!("t{number}")));
        refusals.count(refusal(&ledger, &format!("t{number}")));
    }
    assert_eq!(refusals.entries().len(), 500);
    tokio::time::sleep(SWEEP_AFTER + Duration::from_secs(1)).await;
    assert_eq!(refusals.entries().len(), 0);
    assert_eq!(told(&ledger).iter().sum::<u64>(), 1_000);
}

#[test]
fn what_waits_is_told_when_the_service_goes_without_a_runtime() {
    let ledger = TestLedger::new();
    let refusals = Arc::new(Refusals::new(Duration::from_secs(1)));
    for _ in 0..7 {
        refusals.count(refusal(&ledger, "acme"));
    }
    assert_eq!(told(&ledger), [1]);
    drop(refusals);
    assert_eq!(told(&ledger), [1, 6]);
}
