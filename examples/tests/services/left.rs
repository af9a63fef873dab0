//! A client that leaves the gateway while a durable step is taken in the engines service.

use dataset_events::Outcome;

use crate::common::{Services, events, open_attempts, outcomes, until};

/// The step was committed, but its call was dropped with the connection: the event said `cancelled`, and not what had
/// changed. The ledger of a kill switch then said that it had not been engaged.
#[tokio::test]
async fn a_kill_switch_whose_client_leaves_is_engaged_and_its_event_says_so() {
    let services = Services::start().await;
    // Nothing is committed as long as somebody else writes.
    let database = rusqlite::Connection::open(services.root.path().join("engines.sqlite")).expect("open");
    database.execute_batch("BEGIN IMMEDIATE").expect("take the writer's place");
    let engage = r#"{"change":"engage","reason":"incident"}"#;
    let request = services.request("PUT", "/v1/kill-switches/chat", engage);
    let connection = services.begin(&request).await;
    let (engines, gateway) = (services.engines.ledger().clone(), services.gateway.ledger().clone());
    until("the update to begin", || open_attempts(&engines) > 0).await;

    drop(connection);
    let ledger = |ledger: &dataset_events::Ledger| ledger.path().expect("a directory").to_owned();
    let (engines, gateway) = (ledger(&engines), ledger(&gateway));
    for ledger in [&gateway, &engines] {
        until("the request to be left", || outcomes(ledger, "http.request") == [Outcome::Cancelled]).await;
    }
    database.execute_batch("COMMIT").expect("give the writer's place back");
    until("the update to end", || !outcomes(&engines, "kill_switch.update").is_empty()).await;
    let answer = services.ask("GET", "/v1/kill-switches/chat", "").await;
    assert!(answer.contains("kill_switch.blocked"), "the switch is engaged: {answer}");

    let Services { engines: running, gateway, .. } = services;
    gateway.end().await.expect("end the gateway");
    running.end().await.expect("end the engines");
    let updates = events(&engines, "kill_switch.update");
    assert_eq!(updates.iter().map(|event| event.outcome).collect::<Vec<_>>(), [Outcome::Ok]);
    let change = &updates[0].changes[0];
    assert_eq!((change.field.as_str(), change.after.get()), ("is_engaged", "true"));
    assert_eq!(updates[0].output_value()["version"], 1);
    let request = &events(&engines, "http.request")[0];
    assert_eq!(
        updates[0].parent_span_id,
        Some(request.span_id),
        "it is a child of the request that began it"
    );
}
