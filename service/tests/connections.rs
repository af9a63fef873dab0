//! A request is recorded whatever its client does to the connection.

mod over_http;

use axum::Router;
use axum::routing::get;
use dataset_events::testing::TestLedger;
use dataset_events::{Outcome, RequestContext, dataset_event};
use dataset_events_service::Ctx;
use over_http::{admission, start};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const GET: &[u8] = b"GET /work HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer acme~u_1\r\n\r\n";

#[dataset_event(surface = "test.work", cannot_fail = "it only lets others run")]
async fn work(ctx: &RequestContext) {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

/// Half of the requests whose client closed with the head left no event: the connection dropped them before
/// they had begun.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_whose_client_closes_at_once_has_its_event() {
    const REQUESTS: usize = 200;
    let ledger = TestLedger::new();
    let router = Router::new().route("/work", get(|ctx: Ctx| async move { work(&ctx).await }));
    let server = start(&ledger, router, admission(&ledger).build().unwrap()).await;
    let mut answered = 0;
    for _ in 0..REQUESTS {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        stream.write_all(GET).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        // Ends with the connection: the request was taken, whether or not it was answered.
        let _ = stream.read_to_end(&mut answer).await;
        answered += usize::from(answer.starts_with(b"HTTP/1.1 200"));
    }
    let report = server.stop().await;
    assert_eq!(report.requests, REQUESTS as u64);
    let events = ledger.events_of("http.request");
    assert_eq!(events.len(), REQUESTS);
    let ended = |outcome| events.iter().filter(|event| event.outcome == outcome).count();
    assert_eq!(ended(Outcome::Ok) + ended(Outcome::Cancelled), REQUESTS);
    assert!(ended(Outcome::Ok) >= answered, "{answered} answers, {} events", ended(Outcome::Ok));
}
