//! A context held in `State`: a service that one tenant has for itself, without identities and admission.

use std::error::Error;

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use dataset_events::{ActorType, ErrorCode, Ledger, RequestContext, dataset_event};
use dataset_events_service::{ApiError, Json, Path};

#[derive(Debug, thiserror::Error, ErrorCode)]
#[error("this hotel has no room {0}")]
#[code("rooms.not_found", status = 404)]
struct NoSuchRoom(u32);

#[derive(Clone)]
struct Hotel {
    ctx: RequestContext,
}

/// One context for the life of the process: its calls share actor, request id and trace id.
#[dataset_event(
    surface = "rooms.price",
    access = "read",
    ctx = hotel.ctx,
    input(room),
    output(cents = ret.0),
    error_code = ApiError::recorded_code,
)]
async fn price(State(hotel): State<Hotel>, Path(room): Path<u32>) -> Result<Json<u64>, ApiError> {
    if room > 20 {
        return Err(NoSuchRoom(room).into());
    }
    Ok(Json(9_900 + 500 * u64::from(room / 10)))
}

/// The scope alone: each call gets a request id and a trace id of its own, marked as made up.
#[dataset_event(
    surface = "rooms.book",
    access = "create",
    tenant = hotel.ctx.tenant_id(),
    env = hotel.ctx.env(),
    input(room),
    cannot_fail = "rooms are overbooked",
)]
async fn book(State(hotel): State<Hotel>, Path(room): Path<u32>) -> Json<String> {
    Json(format!("{}-{room}", hotel.ctx.tenant_id()))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let ledger = Ledger::dev()?;
    let ctx = ledger.context("grand_hotel", "prod").actor_type(ActorType::Service).build()?;
    let router = Router::new()
        .route("/rooms/{room}/price", get(price))
        .route("/rooms/{room}/bookings", post(book))
        .with_state(Hotel { ctx: ctx.clone() });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, router).await });

    let http = reqwest::Client::new();
    assert_eq!(http.get(format!("{url}/rooms/12/price")).send().await?.text().await?, "10400");
    assert_eq!(http.get(format!("{url}/rooms/99/price")).send().await?.status(), 404);
    assert_eq!(http.post(format!("{url}/rooms/12/bookings")).send().await?.status(), 200);

    ledger.flush()?;
    let newest = ledger.scope(ctx.tenant_id(), ctx.env()).events().newest_first().limit(3);
    let events = newest.iter().map(|stored| Ok(stored?.event)).collect::<Result<Vec<_>, Box<dyn Error>>>()?;
    let [booked, refused, priced] = events.as_slice() else { return Err("three calls, three events".into()) };
    assert_eq!(
        (priced.surface.as_str(), priced.output_value()["cents"].as_u64()),
        ("rooms.price", Some(10_400))
    );
    assert_eq!((refused.code(), &refused.trace_id), (Some("rooms.not_found"), &priced.trace_id));
    assert_eq!((booked.surface.as_str(), booked.synthesized.len()), ("rooms.book", 2));
    assert_ne!(booked.trace_id, priced.trace_id);
    println!("{} events of {}, two of them in the trace of its context", events.len(), ctx.scope());
    Ok(())
}
