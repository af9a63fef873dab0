//! Steps 7 and 11 of the guide: what the calls of the desk capture, and one that blocks.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dataset_events::{ErrorCode, RequestContext, Scope, dataset_event};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Ticket {
    pub(crate) id: u64,
    pub(crate) email: String,
    subject: String,
    is_open: bool,
}

#[derive(Deserialize)]
pub(crate) struct NewTicket {
    email: String,
    subject: String,
}

#[derive(Debug, thiserror::Error, ErrorCode)]
pub(crate) enum DeskError {
    #[error("a ticket needs a subject")]
    #[code("tickets.no_subject", status = 422)]
    NoSubject,
    #[error("there is no ticket {0}")]
    #[code("tickets.not_found", status = 404)]
    NotFound(u64),
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Desk {
    tickets: Arc<Mutex<HashMap<(Scope, u64), Ticket>>>,
}

impl Desk {
    #[dataset_event(
        surface = "tickets.open",
        access = "create",
        input(email = hashed(new.email), subject = masked(new.subject)),
        output(ticket_id = ret.id),
    )]
    pub(crate) fn open(&self, ctx: &RequestContext, new: NewTicket) -> Result<Ticket, DeskError> {
        if new.subject.is_empty() {
            return Err(DeskError::NoSubject);
        }
        let mut tickets = self.lock();
        let id = tickets.len() as u64 + 1;
        let ticket = Ticket { id, email: new.email, subject: new.subject, is_open: true };
        tickets.insert((ctx.scope().clone(), id), ticket.clone());
        Ok(ticket)
    }

    #[dataset_event(surface = "tickets.read", access = "read", source_refs(ticket = id))]
    pub(crate) fn read(&self, ctx: &RequestContext, id: u64) -> Result<Ticket, DeskError> {
        self.lock().get(&(ctx.scope().clone(), id)).cloned().ok_or(DeskError::NotFound(id))
    }

    #[dataset_event(surface = "tickets.close", access = "update", source_refs(ticket = id))]
    pub(crate) fn close(&self, ctx: &RequestContext, id: u64) -> Result<Ticket, DeskError> {
        let mut tickets = self.lock();
        let ticket = tickets.get_mut(&(ctx.scope().clone(), id)).ok_or(DeskError::NotFound(id))?;
        dataset_events::current().change("is_open", ticket.is_open, false);
        ticket.is_open = false;
        Ok(ticket.clone())
    }

    #[dataset_event(
        surface = "tickets.export",
        access = "read",
        output(tickets = ret.len()),
        cannot_fail = "it reads what is in memory",
    )]
    pub(crate) fn export(&self, ctx: &RequestContext) -> Vec<Ticket> {
        let tickets = self.lock();
        let own = tickets.iter().filter(|((scope, _), _)| scope == ctx.scope());
        own.map(|(_, ticket)| ticket.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(Scope, u64), Ticket>> {
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
