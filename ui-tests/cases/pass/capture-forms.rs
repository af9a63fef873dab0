use dataset_events::testing::TestLedger;
use dataset_events::{RequestContext, dataset_event};

fn context() -> (TestLedger, RequestContext) {
    let ledger = TestLedger::new();
    let ctx = ledger.context("acme", "prod").build().unwrap();
    (ledger, ctx)
}

#[derive(serde::Serialize)]
struct Draft {
    words: Vec<&'static str>,
}

#[derive(Debug)]
struct Opaque(#[allow(dead_code)] u8);

#[dataset_event(
    surface = "pass.forms",
    input(
        draft,
        size = text.len(),
        %address,
        ?opaque,
        shown = %address,
        debugged = ?opaque.0,
        email = hashed(email),
        masked(phone),
        raw = r#type,
        r#type,
        nothing = Option::<u8>::None,
        generic = Vec::<(u8, u8)>::new(),
    ),
    output(first = ret.0, second = %ret.1, whole = ?ret),
)]
fn forms(
    ctx: &RequestContext,
    draft: &Draft,
    text: &str,
    address: std::net::IpAddr,
    opaque: Opaque,
    email: &str,
    phone: &str,
    r#type: u8,
) -> (u8, u8) {
    let _ = (draft, opaque, email, phone, address);
    (text.len() as u8, r#type)
}

fn main() {
    let (ledger, ctx) = context();
    let draft = Draft { words: vec!["a"] };
    let address = std::net::Ipv4Addr::LOCALHOST.into();
    forms(&ctx, &draft, "text", address, Opaque(3), "a@b.c", "0123", 9);
    let event = ledger.assert_one("pass.forms").input("size", 4).input("address", "127.0.0.1");
    let event = event.input("opaque", "Opaque(3)").input("type", 9).input("raw", 9).input("debugged", "3");
    let event = event.output("first", 4).output("second", "9").output("whole", "(4, 9)");
    let input = event.event().input_value();
    assert_eq!(input["phone"]["$masked"]["chars"], 4);
    assert_eq!(input["email"]["$hashed"].as_str().map(str::len), Some(64));
    assert_eq!(input["draft"]["words"][0], "a");
    assert!(!event.event().input.as_ref().unwrap().get().contains("a@b.c"));
}
