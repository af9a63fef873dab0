use dataset_events::testing::TestLedger;
use dataset_events::{RequestContext, dataset_event};
use dataset_events::{Code, ErrorCode};

fn context() -> (TestLedger, RequestContext) {
    let ledger = TestLedger::new();
    let ctx = ledger.context("acme", "prod").build().unwrap();
    (ledger, ctx)
}

#[derive(Debug, ErrorCode)]
enum Failure {
    #[code("pass.denied", status = 403)]
    Denied,
    #[code("pass.slow", status = 504, retryable)]
    Slow { after_ms: u64 },
    #[code("pass.limited", status = 429, denied = false)]
    Limited(u8, u8),
    #[code(transparent)]
    Boxed(Box<Inner>),
    #[code(transparent)]
    Named { inner: Inner },
}

#[derive(Debug, ErrorCode)]
#[code("inner.failed")]
struct Inner;

#[derive(Debug, ErrorCode)]
#[code(transparent)]
struct Wrapper<E>(E);

#[derive(Debug, ErrorCode)]
enum Never {}

#[dataset_event(surface = "pass.derived")]
fn derived(ctx: &RequestContext, failure: Failure) -> Result<(), Failure> {
    Err(failure)
}

fn code_of(error: &std::io::Error) -> Code {
    match error.kind() {
        std::io::ErrorKind::NotFound => Code::new("io.not_found").status(404),
        _ => Code::new("io.failed"),
    }
}

#[dataset_event(surface = "pass.by_path", error_code = code_of, error_message)]
fn by_path(ctx: &RequestContext) -> std::io::Result<u8> {
    Err(std::io::Error::new(std::io::ErrorKind::NotFound, "no such file"))
}

#[dataset_event(surface = "pass.by_literal", error_code = "pass.literal")]
async fn by_literal(ctx: &RequestContext) -> Result<(), Box<dyn std::error::Error>> {
    Ok(())
}

#[dataset_event(surface = "pass.generic")]
fn generic<E: ErrorCode>(ctx: &RequestContext, error: E) -> Result<(), E> {
    Err(error)
}

trait Engine {
    type Out;
}
struct Chat;
impl Engine for Chat {
    type Out = Result<u8, Inner>;
}

impl Chat {
    #[dataset_event(surface = "pass.associated")]
    fn associated(ctx: &RequestContext) -> <Self as Engine>::Out {
        Err(Inner)
    }
}

struct Response {
    status: u16,
}

impl Response {
    fn failure(&self) -> Option<Code> {
        (self.status >= 500).then_some(Code::new("http.failed"))
    }
}

#[dataset_event(surface = "pass.fails", fails = |ret| ret.failure())]
fn fails(ctx: &RequestContext, status: u16) -> Response {
    Response { status }
}

#[dataset_event(surface = "pass.fails_by_path", fails = Response::failure, error_code = "pass.literal")]
fn fails_by_path(ctx: &RequestContext) -> Result<Response, String> {
    Ok(Response { status: 503 })
}

#[dataset_event(surface = "pass.nested", fails = |ret| matches!(ret, Some(Err(_))).then_some(Code::new("pass.inner")))]
fn nested(ctx: &RequestContext) -> Option<Result<u8, String>> {
    Some(Err("no".to_owned()))
}

fn main() {
    let (ledger, ctx) = context();
    for failure in [
        Failure::Denied,
        Failure::Slow { after_ms: 1 },
        Failure::Limited(1, 2),
        Failure::Boxed(Box::new(Inner)),
        Failure::Named { inner: Inner },
    ] {
        let _ = derived(&ctx, failure);
    }
    let ends: Vec<_> = ledger
        .events_of("pass.derived")
        .iter()
        .map(|event| (event.outcome.as_str(), event.code().unwrap().to_owned(), event.error.as_ref().unwrap().retryable))
        .collect();
    let expected = [
        ("denied", "pass.denied", false),
        ("error", "pass.slow", true),
        ("error", "pass.limited", false),
        ("error", "inner.failed", false),
        ("error", "inner.failed", false),
    ];
    assert_eq!(ends, expected.map(|(outcome, code, retryable)| (outcome, code.to_owned(), retryable)));
    let _ = by_path(&ctx);
    let by_path = ledger.assert_one("pass.by_path").code("io.not_found");
    assert_eq!(by_path.event().error.as_ref().unwrap().message.as_deref(), Some("no such file"));
    drop(by_literal(&ctx));
    let _ = generic(&ctx, Wrapper(Inner));
    ledger.assert_one("pass.generic").code("inner.failed");
    let _ = Chat::associated(&ctx);
    ledger.assert_one("pass.associated").code("inner.failed");
    fails(&ctx, 500);
    ledger.assert_one("pass.fails").code("http.failed");
    let _ = fails_by_path(&ctx);
    ledger.assert_one("pass.fails_by_path").code("http.failed");
    let _ = nested(&ctx);
    ledger.assert_one("pass.nested").code("pass.inner");

    let codes: Vec<_> = Failure::codes().iter().map(|code| (code.name(), code.http_status())).collect();
    assert_eq!(codes, [("pass.denied", 403), ("pass.slow", 504), ("pass.limited", 429), ("inner.failed", 500)]);
    assert_eq!(Wrapper::<Inner>::codes().len(), 1);
    assert_eq!(Wrapper::<Failure>::codes().len(), 4);
    assert_eq!(Never::codes().len(), 0);
    assert_eq!(Failure::codes().as_ptr(), Failure::codes().as_ptr());
}
