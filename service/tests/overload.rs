//! A journal that is full loses no count of refusals.

mod over_http;

use std::process::Command;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use dataset_events::{Health, Ledger};
use dataset_events_service::{Admission, RateLimit, RateLimits, ServeOptions, serve};
use tokio::net::TcpListener;

const ROOT: &str = "DATASET_EVENTS_TEST_OVERLOAD_ROOT";

/// Runs this test in a process whose files may not grow, as on a disk that is full.
fn run_on_a_full_disk(root: &std::path::Path) {
    let limited = "trap '' XFSZ; ulimit -f 4096; exec \"$0\" --exact --nocapture \
                   refusals_and_strangers_in_a_full_journal_are_counted_on";
    let program = std::env::current_exe().unwrap();
    let status = Command::new("sh").arg("-c").arg(limited).arg(program).env(ROOT, root).status().unwrap();
    assert!(status.success(), "the child ended with {status}");
}

/// Fills the log until it takes no more, then the journal until also small events find no room.
fn fill(ledger: &Ledger) {
    let ctx = ledger.context("initech", "test").build().unwrap();
    let large = "x".repeat(8_000);
    while !matches!(ledger.health(), Health::Failed { .. }) {
        // Refused while the log is only behind: room comes back.
        let _ = ctx.event("test.fill").input("text", &large).try_record();
    }
    for bytes in [8_000, 100, 0] {
        let text = "x".repeat(bytes);
        let mut refused = 0;
        while refused < 200 {
            let event = ctx.event("test.fill").input("text", &text);
            if event.try_record().is_err() {
                refused += 1;
            }
        }
    }
}

#[tokio::test]
async fn refusals_and_strangers_in_a_full_journal_are_counted_on() {
    let Some(root) = std::env::var_os(ROOT) else {
        return run_on_a_full_disk(tempfile::tempdir().unwrap().path());
    };
    let ledger = Ledger::options().root(root).journal_bytes(1 << 20).open().unwrap();
    let layer = Admission::builder(&ledger)
        .authenticate(over_http::TestTokens)
        .env(over_http::ENV)
        .rate_limits(RateLimits::default_limit(RateLimit::per_hour(1)))
        .refusal_interval(Duration::from_secs(3_600))
        .unauthenticated_per_second(0)
        .build()
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/a", listener.local_addr().unwrap());
    let router = Router::new().route("/a", get(|| async { "a" })).layer(layer.clone());
    let options = ServeOptions::new().shutdown_on(std::future::pending());
    tokio::spawn(serve(listener, router, ledger.clone(), options));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let ask = async |token: &str| client.get(&url).bearer_auth(token).send().await.unwrap().status().as_u16();
    assert_eq!(ask("acme~u_1").await, 200);
    fill(&ledger);
    let shed = ledger.stats().shed;
    for _ in 0..300 {
        assert_eq!((ask("acme~u_1").await, ask("forged").await), (429, 401));
    }
    let suppressed = layer.flush_suppressed();
    assert_eq!((suppressed.rate_limited, suppressed.unauthenticated), (0, 0));
    assert_eq!(suppressed.untold, 600);
    // Not one of them was counted as an event that is lost.
    assert_eq!(ledger.stats().shed, shed);
}
