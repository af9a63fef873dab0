//! What the overview page costs after 1,000 new events, by how many events the scope has.
//!
//! `cargo bench -p dataset-events-service --bench dashboard [-- <most events>]`. The page is asked for through the
//! whole router; the ratio of the largest scope to the smallest is to be at most 1.2.

use std::error::Error;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use dataset_events::{Code, Env, Ledger, LedgerSet, TenantId, UserId};
use dataset_events_service::dashboard::Dashboard;
use dataset_events_service::{Admission, Identity, StaticTokens};
use http::{Request, StatusCode};
use tower::ServiceExt as _;

const NEW_EVENTS: u64 = 1_000;
const ROUNDS: usize = 15;
const SURFACES: u64 = 20;
const REFUSED: Code = Code::new("orders.refused").status(422);
const BOUND: f64 = 1.2;

fn append(ledger: &Ledger, from: u64, events: u64) -> Result<(), Box<dyn Error>> {
    let ctx = ledger.context("acme", "prod").user_id("u_bench").build()?;
    let surfaces: Vec<String> = (0..SURFACES).map(|at| format!("orders.step_{at}")).collect();
    for at in from..from + events {
        let event = ctx.event(&surfaces[(at % SURFACES) as usize]).input("number", &at);
        match at % 50 {
            0 => event.code(REFUSED).record()?,
            _ => event.record()?,
        };
        if at % 20_000 == 0 {
            ledger.flush()?;
        }
    }
    ledger.flush()?;
    Ok(())
}

/// The first page folds all there is, longer than a request may wait: it is asked for until it is there.
async fn first_page(router: &Router) -> Result<Duration, Box<dyn Error>> {
    let begun = Instant::now();
    loop {
        let answer = router.clone().oneshot(overview()?).await?;
        match answer.status() {
            StatusCode::OK => return Ok(begun.elapsed()),
            StatusCode::SERVICE_UNAVAILABLE => {}
            status => return Err(format!("the first overview answered {status}").into()),
        }
    }
}

fn overview() -> Result<Request<Body>, http::Error> {
    Request::get("/?window=day").header("authorization", "Bearer bench").body(Body::empty())
}

async fn page(router: &Router) -> Result<Duration, Box<dyn Error>> {
    let begun = Instant::now();
    let answer = router.clone().oneshot(overview()?).await?;
    let status = answer.status();
    let body = axum::body::to_bytes(answer.into_body(), 8 << 20).await?;
    let took = begun.elapsed();
    if status != StatusCode::OK || body.is_empty() {
        return Err(format!("the overview answered {status} with {} bytes", body.len()).into());
    }
    Ok(took)
}

/// The median time of the page after so many new events.
async fn measure(events: u64) -> Result<Duration, Box<dyn Error>> {
    let root = tempfile::tempdir()?;
    let ledger = Ledger::options().root(root.path()).service("bench", "1").open()?;
    append(&ledger, 0, events)?;
    let user: Identity =
        Identity::new("bench|u".try_into()?).user(UserId::new("u_bench")?).tenant(TenantId::new("acme")?);
    let tokens = StaticTokens::new([("bench", user)])?;
    let admission = Admission::builder(&ledger).authenticate(tokens).env(Env::new("prod")?).build()?;
    let dashboard = Dashboard::builder(LedgerSet::of(&ledger)).build()?;
    let router = dashboard.mount(&admission);
    let first = first_page(&router).await?;
    let mut times = Vec::new();
    for round in 0..ROUNDS as u64 {
        append(&ledger, events + round * NEW_EVENTS, NEW_EVENTS)?;
        times.push(page(&router).await?);
    }
    times.sort_unstable();
    let median = times[times.len() / 2];
    println!(
        "{events:>9} events: first page {first:>10.1?}, after {NEW_EVENTS} new ones {median:>8.2?} (least {:.2?})",
        times[0]
    );
    drop((router, dashboard, admission));
    ledger.close()?;
    Ok(median)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let given = std::env::args().skip(1).find_map(|arg| arg.parse().ok());
    let most = given.unwrap_or(1_000_000_u64);
    let mut medians = Vec::new();
    for events in [10_000, 100_000, 1_000_000].into_iter().filter(|events| *events <= most) {
        medians.push(measure(events).await?);
    }
    if let (Some(first), Some(last)) = (medians.first(), medians.last()) {
        let ratio = last.as_secs_f64() / first.as_secs_f64();
        println!("ratio of the largest to the smallest: {ratio:.2} (bound {BOUND})");
        if ratio > BOUND {
            return Err(
                format!("the cost of the overview grows with the scope: ratio {ratio:.2} > {BOUND}").into()
            );
        }
    }
    Ok(())
}
