//! Steps 3 to 5 of the guide: codes, a ledger of its own, the admission layer and the envelope.

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use dataset_events::{Env, ErrorCode, Ledger, RequestContext, Scope, dataset_event};
use dataset_events_service::{
    Admission, ApiError, Authenticate, Ctx, Json, Path, StaticTokens, route_not_found,
};
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize)]
struct Ticket {
    id: u64,
    email: String,
    subject: String,
}

#[derive(Deserialize)]
struct NewTicket {
    email: String,
    subject: String,
}

#[derive(Debug, thiserror::Error, ErrorCode)]
enum DeskError {
    #[error("a ticket needs a subject")]
    #[code("tickets.no_subject", status = 422)]
    NoSubject,
    #[error("there is no ticket {0}")]
    #[code("tickets.not_found", status = 404)]
    NotFound(u64),
}

#[derive(Clone, Default)]
struct Desk {
    tickets: Arc<Mutex<HashMap<(Scope, u64), Ticket>>>,
}

impl Desk {
    #[dataset_event(surface = "tickets.open", access = "create")]
    fn open(&self, ctx: &RequestContext, new: NewTicket) -> Result<Ticket, DeskError> {
        if new.subject.is_empty() {
            return Err(DeskError::NoSubject);
        }
        let mut tickets = self.tickets.lock().unwrap_or_else(PoisonError::into_inner);
        let id = tickets.len() as u64 + 1;
        let ticket = Ticket { id, email: new.email, subject: new.subject };
        tickets.insert((ctx.scope().clone(), id), ticket.clone());
        Ok(ticket)
    }

    #[dataset_event(surface = "tickets.read", access = "read")]
    fn read(&self, ctx: &RequestContext, id: u64) -> Result<Ticket, DeskError> {
        let tickets = self.tickets.lock().unwrap_or_else(PoisonError::into_inner);
        tickets.get(&(ctx.scope().clone(), id)).cloned().ok_or(DeskError::NotFound(id))
    }
}

async fn open_ticket(
    ctx: Ctx,
    State(desk): State<Desk>,
    Json(new): Json<NewTicket>,
) -> Result<Json<Ticket>, ApiError> {
    Ok(Json(desk.open(&ctx, new)?))
}

async fn read_ticket(
    ctx: Ctx,
    State(desk): State<Desk>,
    Path(id): Path<u64>,
) -> Result<Json<Ticket>, ApiError> {
    Ok(Json(desk.read(&ctx, id)?))
}

pub(crate) fn router(ledger: &Ledger, users: impl Authenticate) -> Result<Router, Box<dyn Error>> {
    let admission = Admission::builder(ledger).authenticate(users).env(Env::from_static("prod")).build()?;
    let router = Router::new()
        .route("/tickets", post(open_ticket))
        .route("/tickets/{id}", get(read_ticket))
        .fallback(route_not_found)
        .with_state(Desk::default())
        .layer(admission);
    Ok(router)
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    let ledger = Ledger::options().root("var/ledgers").service("desk", env!("CARGO_PKG_VERSION")).open()?;
    let router = router(&ledger, StaticTokens::from_env("DESK_TOKENS")?)?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    Ok(axum::serve(listener, router).await?)
}
