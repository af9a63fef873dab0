use dataset_events::testing::TestLedger;
use dataset_events::{RequestContext, dataset_event};

fn context() -> (TestLedger, RequestContext) {
    let ledger = TestLedger::new();
    let ctx = ledger.context("acme", "prod").build().unwrap();
    (ledger, ctx)
}

macro_rules! endpoint {
    ($name:ident, $surface:literal, $ctx:ident, $($arg:ident: $ty:ty),* => $out:ty, $body:expr) => {
        #[dataset_event(surface = $surface, ctx = $ctx, input($($arg),*), output(result = ret))]
        fn $name($ctx: &RequestContext, $($arg: $ty),*) -> $out {
            $body
        }
    };
}

endpoint!(double, "pass.double", context, value: u32 => u32, value * 2);
endpoint!(join, "pass.join", request, a: &str, b: &str => String, format!("{a}{b}"));

macro_rules! inner_ret {
    ($ret:ident, $value:expr) => {
        #[dataset_event(surface = "pass.inner_ret", output(size = $value))]
        fn inner_ret(ctx: &RequestContext) -> usize {
            let $ret = 7;
            $ret
        }
    };
}

inner_ret!(ret, *ret);

// A block that is passed on is one token tree of its own.
macro_rules! with_block {
    ($name:ident, $surface:literal, $body:block) => {
        #[dataset_event(surface = $surface, output(text = %format!("<{ret}>")))]
        fn $name(ctx: &RequestContext) -> usize $body

        struct Counter(RequestContext);

        #[dataset_event(engine = "counter", ctx = self.0)]
        impl Counter {
            pub fn next(&self) -> usize $body
        }
    };
}

with_block!(blocked, "pass.blocked", { 3 });

fn main() {
    let (ledger, ctx) = context();
    assert_eq!(double(&ctx, 2), 4);
    assert_eq!(join(&ctx, "a", "b"), "ab");
    assert_eq!(inner_ret(&ctx), 7);
    assert_eq!(blocked(&ctx), 3);
    assert_eq!(Counter(ctx.clone()).next(), 3);
    ledger.assert_one("pass.blocked").output("text", "<3>");
    ledger.assert_one("counter.next");
    ledger.assert_one("pass.double").input("value", 2).output("result", 4);
    ledger.assert_one("pass.inner_ret").output("size", 7);
}
