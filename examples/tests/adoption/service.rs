//! The service of the guide at its end: routes with limits and codes, operations, an end in order.

use std::error::Error;
use std::panic::resume_unwind;

use axum::Router;
use axum::extract::State;
use dataset_events::{Env, Ledger};
use dataset_events_service::{
    Admission, ApiError, Authenticate, Ctx, HealthChecks, Json, Jwks, JwtAuthenticator, Limits,
    MetricsEndpoint, Path, RateLimit, Route, RouteTable, ServeOptions, serve,
};
use tokio::net::TcpListener;

use crate::desk::{Desk, DeskError, NewTicket, Ticket};
use crate::mailer::{MailError, Mailer, in_background};

#[derive(Clone)]
pub(crate) struct App {
    desk: Desk,
    mailer: Mailer,
}

async fn open_ticket(
    ctx: Ctx,
    State(app): State<App>,
    Json(new): Json<NewTicket>,
) -> Result<Json<Ticket>, ApiError> {
    Ok(Json(app.desk.open(&ctx, new)?))
}

async fn read_ticket(
    ctx: Ctx,
    State(app): State<App>,
    Path(id): Path<u64>,
) -> Result<Json<Ticket>, ApiError> {
    Ok(Json(app.desk.read(&ctx, id)?))
}

async fn close_ticket(
    ctx: Ctx,
    State(app): State<App>,
    Path(id): Path<u64>,
) -> Result<Json<Ticket>, ApiError> {
    let ticket = app.desk.close(&ctx, id)?;
    app.mailer.tell_closed(&ctx, &ticket).await?;
    Ok(Json(ticket))
}

/// Answers at once; the mail goes out later.
async fn remind(ctx: Ctx, State(app): State<App>, Path(id): Path<u64>) -> Result<(), ApiError> {
    let ticket = app.desk.read(&ctx, id)?;
    in_background(async move { app.mailer.tell_closed(&ctx, &ticket).await });
    Ok(())
}

async fn export_tickets(ctx: Ctx, State(app): State<App>) -> Json<Vec<Ticket>> {
    let exported = tokio::task::spawn_blocking(move || app.desk.export(&ctx)).await;
    Json(exported.unwrap_or_else(|error| resume_unwind(error.into_panic())))
}

pub(crate) fn table() -> RouteTable<App> {
    RouteTable::new()
        .rate_limit(RateLimit::per_second(50))
        .limits(Limits::new().body_bytes(64 * 1024))
        .route(
            Route::post("/tickets", open_ticket).rate_limit(RateLimit::per_minute(30)).errors::<DeskError>(),
        )
        .route(Route::get("/tickets", export_tickets))
        .route(Route::get("/tickets/{id}", read_ticket).errors::<DeskError>())
        .route(Route::post("/tickets/{id}/close", close_ticket).errors::<DeskError>().errors::<MailError>())
        .route(Route::post("/tickets/{id}/remind", remind).errors::<DeskError>())
}

pub(crate) fn router(
    ledger: &Ledger,
    env: Env,
    users: impl Authenticate,
    mailer: Mailer,
) -> Result<(Router, Admission), Box<dyn Error>> {
    let table = table();
    let admission = Admission::builder(ledger)
        .authenticate(users)
        .env(env)
        .rate_limits(table.rate_limits())
        .limits(table.route_limits())
        .build()?;
    let app = App { desk: Desk::default(), mailer };
    Ok((table.router().with_state(app).layer(admission.clone()), admission))
}

/// Health, readiness and metrics, which name tenants: for an address that clients do not reach.
pub(crate) fn operations(ledger: &Ledger) -> Result<Router, Box<dyn Error>> {
    Ok(HealthChecks::new(ledger).router().merge(MetricsEndpoint::new(ledger)?.router()))
}

fn users() -> Result<JwtAuthenticator, Box<dyn Error>> {
    let keys = Jwks::builder("https://login.example/.well-known/jwks.json").build()?;
    let users = JwtAuthenticator::builder()
        .issuer("https://login.example")
        .audience("desk")
        .tenant_claim("org")
        .jwks(keys)
        .build()?;
    Ok(users)
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    let ledger = Ledger::options().root("var/ledgers").service("desk", env!("CARGO_PKG_VERSION")).open()?;
    let secret = std::env::var("SERVICE_SECRET")?;
    let mailer = Mailer::new(&ledger, "http://127.0.0.1:3001", secret.as_bytes())?;
    let (router, admission) = router(&ledger, Env::from_static("prod"), users()?, mailer)?;
    let operators = TcpListener::bind("127.0.0.1:9100").await?;
    let operations = operations(&ledger)?;
    tokio::spawn(async move { axum::serve(operators, operations).await });
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    let report = serve(listener, router, ledger, ServeOptions::new().admission(&admission)).await?;
    println!("{} requests, {} of them cut at the end", report.requests, report.cut);
    Ok(())
}
