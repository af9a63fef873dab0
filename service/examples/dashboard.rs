//! Serves a dashboard over two ledgers with made-up events, and prints a sign-in link for each tenant.
//!
//! `cargo run -p dataset-events-service --example dashboard [port]`; stops at the end of standard input or by a
//! signal.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dataset_events::read_models::Activity;
use dataset_events::{
    AuthSubject, Env, ErrorCode, Ledger, LedgerSet, RequestContext, TenantId, TraceParent, UserId,
    dataset_event,
};
use dataset_events_service::dashboard::{
    BarChart, Block, Cell, Dashboard, LinePlot, Panel, PanelError, PanelRequest, Point, Table, Tile,
    TimeBars, Timeline, TimelineEntry, Tone,
};
use dataset_events_service::{Admission, Identity, ServeOptions, StaticTokens, serve};

type Failure = Box<dyn std::error::Error>;

#[derive(Debug, ErrorCode, thiserror::Error)]
enum OrderError {
    #[error("the cart is empty")]
    #[code("orders.empty", status = 422)]
    Empty,
    #[error("the card was refused")]
    #[code("payments.card_refused", status = 402)]
    Refused,
    #[error("the payment provider does not answer")]
    #[code("payments.unreachable", status = 503, retryable)]
    Unreachable,
    #[error("the caller may not do that")]
    #[code("orders.forbidden", status = 403)]
    Forbidden,
}

/// Small differences that look like chance and are the same in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

#[dataset_event(
    surface = "orders.place",
    access = "create",
    input(cart, note),
    output(order = ret),
    source_refs(cart = cart)
)]
fn place(
    ctx: &RequestContext,
    payments: &Ledger,
    cart: u64,
    note: &str,
    roll: u64,
) -> Result<u64, OrderError> {
    if roll == 0 {
        return Err(OrderError::Empty);
    }
    check(ctx, roll)?;
    dataset_events::current().change("status", "cart", "placed");
    // As another service would, by the header of the call that runs.
    let span_id = dataset_events::current().span_id().unwrap_or_else(|| payments.new_span_id());
    let user = ctx.user_id().cloned().ok_or(OrderError::Forbidden)?;
    let other = payments.context(ctx.tenant_id(), ctx.env()).user_id(user);
    let other = other.traceparent(TraceParent::new(ctx.trace_id(), span_id, true)).build();
    charge(&other.map_err(|_| OrderError::Unreachable)?, cart * 100, roll)?;
    Ok(cart)
}

#[dataset_event(surface = "orders.check", access = "read", input(roll))]
fn check(ctx: &RequestContext, roll: u64) -> Result<(), OrderError> {
    std::thread::sleep(Duration::from_micros(80 + roll * 9));
    if roll == 1 { Err(OrderError::Forbidden) } else { Ok(()) }
}

#[dataset_event(surface = "payments.charge", access = "execute", input(cents), output(receipt = ret))]
fn charge(ctx: &RequestContext, cents: u64, roll: u64) -> Result<String, OrderError> {
    std::thread::sleep(Duration::from_micros(300 + roll * 40));
    match roll {
        2 => Err(OrderError::Refused),
        3 => Err(OrderError::Unreachable),
        _ => Ok(format!("r-{cents}")),
    }
}

#[dataset_event(surface = "orders.list", access = "read", output(count = ret))]
fn list(ctx: &RequestContext, count: u64) -> u64 {
    count
}

fn seed(orders: &Ledger, payments: &Ledger, tenant: &str, calls: u64) -> Result<(), Failure> {
    let mut dice = Dice(calls);
    for call in 0..calls {
        let user = ["u_ada", "u_grace", "u_linus"][dice.roll(3) as usize];
        let ctx = orders.context(tenant, "prod").user_id(user).build()?;
        let note = match call {
            // What hostile users write.
            7 => "<script>alert(1)</script> \u{202e}txt.exe\u{202c} \u{7}".to_owned(),
            8 => "n".repeat(4_096),
            _ => format!("cart {call}"),
        };
        let _ = place(&ctx, payments, call + 1, &note, dice.roll(24));
        list(&ctx, call);
    }
    orders.flush()?;
    payments.flush()?;
    Ok(())
}

/// Each block once.
struct Gallery;

impl Panel for Gallery {
    fn id(&self) -> &str {
        "gallery"
    }

    fn title(&self) -> &str {
        "Gallery"
    }

    fn description(&self) -> &str {
        "Each block that a panel can be made of, with made-up values."
    }

    fn render(&self, request: &PanelRequest<'_>) -> Result<Vec<Block>, PanelError> {
        let counts = request
            .fold(Activity, |folded| folded.state().window(request.window(), request.end_us()).total)?;
        let (end, hour) = (request.end_us(), 3_600_000_000_i64);
        let mut dice = Dice(7);
        let points: Vec<Point> = (0..48)
            .map(|at| {
                let value = 21.0 + (at as f64 / 5.0).sin() * 3.0 + dice.roll(100) as f64 / 80.0;
                let tone = if value > 24.0 { Tone::Bad } else { Tone::Neutral };
                Point::new(end - (48 - at) * hour / 2, value).exact(format!("{value:.2}")).tone(tone)
            })
            .collect();
        let mut bars = TimeBars::new("Calls by hour", hour, end - 48 * hour, end);
        for at in 0..48 {
            let count = 40 + dice.roll(200);
            bars = bars.bar(end - (48 - at) * hour, count, if dice.roll(4) == 0 { dice.roll(30) } else { 0 });
        }
        let entry = |hours: i64, title: &str| TimelineEntry::new(end - hours * hour, title);
        Ok(vec![
            Block::tiles([
                Tile::new("Events", Cell::count(counts.events)).note("folded"),
                Tile::new("Spent", Cell::number("1,204.50 EUR")).note("of 2,000.00 EUR"),
                Tile::new("Breaches", Cell::count(3)).note("above the corridor").tone(Tone::Bad),
                Tile::new("Slowest", Cell::duration_ns(12_400_000))
                    .note("of the last hour")
                    .tone(Tone::Warning),
            ]),
            LinePlot::new("Temperature of hall 3", "°C")
                .series("Sensor A", points)
                .corridor(Some(18.0), Some(24.0))
                .threshold("Stop", 25.5, Tone::Bad)
                .into(),
            bars.into(),
            BarChart::new("Spent by provider")
                .full(2_000.0)
                .bar("openai", 812.0, Cell::number("812.00"))
                .toned_bar("anthropic", 1_920.0, Cell::number("1,920.00"), Tone::Warning)
                .toned_bar("<b>bold</b> \u{202e}evil", 90.0, Cell::number("90.00"), Tone::Bad)
                .into(),
            Timeline::new("Kill switch")
                .entry(entry(30, "Released").tone(Tone::Good).actor("u_ada").change("state", "on", "off"))
                .entry(entry(31, "Pulled").tone(Tone::Bad).actor("u_grace").change("state", "off", "on"))
                .into(),
            Table::new("Policies", &["Policy", "State", "Limit", "Used"])
                .row([
                    Cell::name("daily"),
                    Cell::status(Tone::Good, "open"),
                    Cell::number("2,000.00"),
                    Cell::share(0.61),
                ])
                .row([
                    Cell::name("hourly"),
                    Cell::status(Tone::Bad, "exhausted"),
                    Cell::number("90.00"),
                    Cell::share(1.0),
                ])
                .into(),
            Block::notice(Tone::Warning, "A remark that stands out."),
            Block::empty("No sensors yet", "Register one with sensors.register; its readings appear here."),
        ])
    }
}

fn identity(user: &str, tenant: &str) -> Result<Identity, Failure> {
    let subject = AuthSubject::new(format!("example|{user}"))?;
    Ok(Identity::new(subject).user(UserId::new(user)?).tenant(TenantId::new(tenant)?))
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let port = std::env::args().nth(1).unwrap_or_else(|| "0".to_owned());
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
    let root = std::env::temp_dir().join(format!("dashboard-example-{since_1970}"));
    let open =
        |service: &str| Ledger::options().root(&root).service(service, "1.4.2").journal_bytes(4 << 20).open();
    let (orders, payments) = (open("orders")?, open("payments")?);
    seed(&orders, &payments, "acme", 400)?;
    seed(&orders, &payments, "globex", 30)?;

    let people = [
        ("acme-token", "u_ada", "acme"),
        ("globex-token", "u_linus", "globex"),
        ("new-token", "u_new", "initech"),
        ("ops-token", "u_ops", "operations"),
    ];
    let identities = people.iter().map(|(token, user, tenant)| Ok((*token, identity(user, tenant)?)));
    let tokens = StaticTokens::new(identities.collect::<Result<Vec<_>, Failure>>()?)?;
    let admission = Admission::builder(&orders).authenticate(tokens).env(Env::from_static("prod")).build()?;
    let dashboard =
        Dashboard::builder(LedgerSet::options().ledger(&orders).ledger(&payments).root(&root).open())
            .base_path("/dashboard")
            .snapshots(root.join("dashboard"))
            .operators(|identity: &Identity| identity.subject.as_str() == "example|u_ops")
            .panel(Gallery)
            .build()?;
    let router = axum::Router::new().nest("/dashboard", dashboard.mount(&admission));
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    let address = listener.local_addr()?;
    for (token, _, tenant) in people {
        println!("{tenant}: http://{address}{}", dashboard.sign_in_path(token));
    }
    serve(listener, router, orders, ServeOptions::new().admission(&admission)).await?;
    payments.close()?;
    std::fs::remove_dir_all(&root)?;
    Ok(())
}
