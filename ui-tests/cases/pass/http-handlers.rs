//! Handlers in the shape of a web framework: extractors, a response instead of a `Result`.

use std::sync::Arc;

use dataset_events::testing::TestLedger;
use dataset_events::{Code, HasRequestContext, RequestContext, dataset_event};

struct State<T>(T);
struct Json<T>(T);
struct Path<T>(T);

struct AppContext {
    inner: RequestContext,
}

impl HasRequestContext for AppContext {
    fn request_context(&self) -> &RequestContext {
        &self.inner
    }
}

struct Response {
    status: u16,
}

trait IntoResponse {
    fn status(&self) -> u16;
}

impl IntoResponse for Response {
    fn status(&self) -> u16 {
        self.status
    }
}

fn failure(response: &Response) -> Option<Code> {
    match response.status {
        403 => Some(Code::new("http.forbidden").status(403)),
        500.. => Some(Code::new("http.failed")),
        _ => None,
    }
}

#[dataset_event(surface = "http.update", input(id, size = body.len()), output(status = ret.status), fails = failure, source_refs(thing = id))]
async fn update(State(ctx): State<Arc<AppContext>>, Path(id): Path<u64>, Json(body): Json<String>) -> Response {
    let _ = ctx;
    Response { status: if body.is_empty() { 403 } else { 200 + id as u16 * 0 } }
}

#[dataset_event(surface = "http.show", access = "read", fails = |ret| (ret.status() >= 500).then(|| Code::new("http.failed")))]
async fn show(State(ctx): State<Arc<AppContext>>) -> impl IntoResponse {
    drop(ctx);
    Response { status: 503 }
}

fn main() {
    let ledger = TestLedger::new();
    let ctx = Arc::new(AppContext { inner: ledger.context("acme", "prod").build().unwrap() });
    futures::executor::block_on(async {
        update(State(ctx.clone()), Path(7), Json("body".to_owned())).await;
        update(State(ctx.clone()), Path(7), Json(String::new())).await;
        show(State(ctx)).await;
    });
    let outcomes: Vec<_> = ledger.events_of("http.update").iter().map(|event| event.outcome.as_str()).collect();
    assert_eq!(outcomes, ["ok", "denied"]);
    ledger.assert_one("http.show").code("http.failed");
}
