//! SIGTERM and SIGINT stop a service. A test binary of its own: signals are for the whole process.

mod over_http;

use std::process::Command;

use axum::Router;
use axum::routing::get;
use dataset_events::testing::TestLedger;
use dataset_events_service::{ServeOptions, serve};
use over_http::admission;
use tokio::net::TcpListener;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_stops_the_service_with_everything_in_the_ledger() {
    for name in ["TERM", "INT"] {
        let ledger = TestLedger::new();
        let layer = admission(&ledger).build().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/a", listener.local_addr().unwrap());
        let router = Router::new().route("/a", get(|| async { "a" })).layer(layer.clone());
        let options = ServeOptions::new().admission(&layer).keep_ledger_open();
        let served = tokio::spawn(serve(listener, router, ledger.ledger().clone(), options));
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        // Once a request is answered the signals are listened for.
        assert_eq!(client.get(&url).bearer_auth("acme~u_1").send().await.unwrap().status(), 200);
        let process = std::process::id().to_string();
        let kill = format!("kill -{name} {process}");
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        let report = served.await.unwrap().unwrap();
        assert_eq!((report.requests, report.cut), (1, 0));
        ledger.assert_one("http.request").ok();
    }
}
