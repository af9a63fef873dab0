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
const ROUNDS: u64 = 15;
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

/// A ledger whose one scope has so many events, and the dashboard over it.
struct Stage {
    events: u64,
    ledger: Ledger,
    router: Router,
    times: Vec<Duration>,
    /// Goes last.
    _root: tempfile::TempDir,
}

impl Stage {
    async fn new(events: u64) -> Result<Self, Box<dyn Error>> {
        let root = tempfile::tempdir()?;
        let ledger = Ledger::options().root(root.path()).service("bench", "1").open()?;
        append(&ledger, 0, events)?;
        let user = Identity::new("bench|u".try_into()?).user(UserId::new("u_bench")?);
        let tokens = StaticTokens::new([("bench", user.tenant(TenantId::new("acme")?))])?;
        let admission = Admission::builder(&ledger).authenticate(tokens).env(Env::new("prod")?).build()?;
        let router = Dashboard::builder(LedgerSet::of(&ledger)).build()?.mount(&admission);
        let first = first_page(&router).await?;
        println!("{events:>9} events: first page {first:.1?}");
        Ok(Self { events, ledger, router, times: Vec::new(), _root: root })
    }

    async fn round(&mut self, round: u64) -> Result<(), Box<dyn Error>> {
        append(&self.ledger, self.events + round * NEW_EVENTS, NEW_EVENTS)?;
        self.times.push(page(&self.router).await?);
        Ok(())
    }

    fn median(&mut self) -> Duration {
        self.times.sort_unstable();
        self.times[self.times.len() / 2]
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let given = std::env::args().skip(1).find_map(|arg| arg.parse().ok());
    let most = given.unwrap_or(1_000_000_u64);
    let mut stages = Vec::new();
    for events in [10_000, 100_000, 1_000_000].into_iter().filter(|events| *events <= most) {
        stages.push(Stage::new(events).await?);
    }
    // In turn, so that what else the machine does falls on all sizes alike.
    for round in 0..ROUNDS {
        for stage in &mut stages {
            stage.round(round).await?;
        }
    }
    let mut medians = Vec::new();
    for stage in &mut stages {
        let median = stage.median();
        let (least, greatest) = (stage.times[0], stage.times[stage.times.len() - 1]);
        let events = stage.events;
        println!(
            "{events:>9} events: after {NEW_EVENTS} new ones {median:.2?} ({least:.2?} to {greatest:.2?})"
        );
        medians.push(median.as_secs_f64());
    }
    if let (Some(first), Some(last)) = (medians.first(), medians.last()) {
        let ratio = last / first;
        println!("ratio of the largest to the smallest: {ratio:.2} (bound {BOUND})");
        if ratio > BOUND {
            return Err(
                format!("the overview's cost grows with the scope: ratio {ratio:.2} > {BOUND}").into()
            );
        }
    }
    Ok(())
}
