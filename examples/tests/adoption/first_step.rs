//! Step 1 and 2 of the guide: one function is recorded, and nothing else has changed.

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use dataset_events::{Env, Ledger, TenantId, dataset_event};
use serde::{Deserialize, Serialize};

const TENANT: TenantId = TenantId::from_static("everybody");
const ENV: Env = Env::from_static("dev");

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

enum DeskError {
    NoSubject,
    NotFound,
}

#[derive(Clone, Default)]
struct Desk {
    tickets: Arc<Mutex<HashMap<(String, u64), Ticket>>>,
}

impl Desk {
    #[dataset_event(surface = "tickets.open", tenant = TENANT, env = ENV, error_code = "tickets.not_opened")]
    fn open(&self, tenant: &str, new: NewTicket) -> Result<Ticket, DeskError> {
        if new.subject.is_empty() {
            return Err(DeskError::NoSubject);
        }
        let mut tickets = self.tickets.lock().unwrap_or_else(PoisonError::into_inner);
        let id = tickets.len() as u64 + 1;
        let ticket = Ticket { id, email: new.email, subject: new.subject };
        tickets.insert((tenant.to_owned(), id), ticket.clone());
        Ok(ticket)
    }

    fn read(&self, tenant: &str, id: u64) -> Result<Ticket, DeskError> {
        let tickets = self.tickets.lock().unwrap_or_else(PoisonError::into_inner);
        tickets.get(&(tenant.to_owned(), id)).cloned().ok_or(DeskError::NotFound)
    }
}

fn tenant(headers: &HeaderMap) -> Result<&str, StatusCode> {
    headers.get("x-tenant").and_then(|tenant| tenant.to_str().ok()).ok_or(StatusCode::BAD_REQUEST)
}

fn status(error: DeskError) -> StatusCode {
    match error {
        DeskError::NoSubject => StatusCode::UNPROCESSABLE_ENTITY,
        DeskError::NotFound => StatusCode::NOT_FOUND,
    }
}

async fn open_ticket(
    State(desk): State<Desk>,
    headers: HeaderMap,
    Json(new): Json<NewTicket>,
) -> Result<Json<Ticket>, StatusCode> {
    desk.open(tenant(&headers)?, new).map(Json).map_err(status)
}

async fn read_ticket(
    State(desk): State<Desk>,
    headers: HeaderMap,
    Path(id): Path<u64>,
) -> Result<Json<Ticket>, StatusCode> {
    desk.read(tenant(&headers)?, id).map(Json).map_err(status)
}

pub(crate) fn router() -> Router {
    Router::new()
        .route("/tickets", post(open_ticket))
        .route("/tickets/{id}", get(read_ticket))
        .with_state(Desk::default())
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    let _ledger = Ledger::dev()?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    Ok(axum::serve(listener, router()).await?)
}
