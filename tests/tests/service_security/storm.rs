//! A storm of requests without an identity is bounded in the ledger, and counted to the last one.

use std::sync::Arc;

use super::services_common::World;
use super::{Expected, NOBODY};

const REQUESTS: u64 = 500;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_storm_without_identity_events_and_counted_ones_are_all_of_it() {
    let world = Arc::new(World::start().await);
    let asked = (0..REQUESTS).map(|at| {
        let world = Arc::clone(&world);
        tokio::spawn(async move {
            let request = world.http.get(format!("{}/v1/kpis", world.gateway.url()));
            let request = if at % 2 == 0 { request } else { request.bearer_auth("opaque-token") };
            world.send(request).await.status
        })
    });
    for one in asked.collect::<Vec<_>>() {
        assert_eq!(one.await.expect("no client fails"), 401);
    }
    let recorded = Arc::into_inner(world).expect("no client is left").end().await;
    let mut expected = Expected::default();
    for at in 0..REQUESTS {
        let code = if at % 2 == 0 { "auth.missing_credentials" } else { "auth.malformed_credentials" };
        expected.add(NOBODY, code);
    }
    expected.assert_all_of(&recorded.gateway);
    let is_request = |event: &&dataset_events::DatasetEvent| event.surface == "http.request";
    let events = recorded.gateway.events.iter().filter(is_request).count();
    assert!((20..REQUESTS as usize / 2).contains(&events), "{events} events of their own");
}
