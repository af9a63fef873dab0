//! Step 8 of the guide: a request to another service takes the context along.

use std::error::Error;
use std::time::Duration;

use dataset_events::{ErrorCode, Ledger, RequestContext, dataset_event};
use dataset_events_service::{Carried, Carrier, CarryError, RemoteError, ServiceTokens};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::desk::Ticket;

#[derive(Debug, thiserror::Error, ErrorCode)]
pub(crate) enum MailError {
    #[error("the mail service could not be reached")]
    #[code("mails.unreachable", status = 503, retryable)]
    Unreachable(#[from] reqwest::Error),
    #[error(transparent)]
    #[code(transparent)]
    Carry(#[from] CarryError),
    #[error(transparent)]
    #[code(transparent)]
    Answered(#[from] RemoteError),
}

#[derive(Debug, Clone)]
pub(crate) struct Mailer {
    http: reqwest::Client,
    url: String,
    carrier: Carrier,
}

impl Mailer {
    pub(crate) fn new(ledger: &Ledger, url: &str, secret: &[u8]) -> Result<Self, Box<dyn Error>> {
        let tokens = ServiceTokens::hs256("https://services.example", "desk", secret)?;
        let http = reqwest::Client::builder().timeout(Duration::from_secs(10)).build()?;
        Ok(Self { http, url: url.to_owned(), carrier: Carrier::new(ledger, "mails", tokens) })
    }

    #[dataset_event(surface = "mails.send", access = "execute", source_refs(ticket = ticket.id))]
    pub(crate) async fn tell_closed(&self, ctx: &RequestContext, ticket: &Ticket) -> Result<(), MailError> {
        let body = json!({ "to": ticket.email, "text": format!("ticket {} is closed", ticket.id) });
        let mut request = self.http.post(format!("{}/mails", self.url)).json(&body).build()?;
        self.carrier.carry(request.headers_mut(), ctx).await?;
        let answer = self.http.execute(request).await?;
        let (status, text) = (answer.status(), answer.bytes().await?);
        RemoteError::from_answer(status, &text).map_or(Ok(()), |error| Err(error.into()))
    }
}

/// Spawns a task that takes the request along: its token, its `tracestate`.
pub(crate) fn in_background<F>(task: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    match Carried::current() {
        Some(carried) => tokio::spawn(carried.scope(task)),
        None => tokio::spawn(task),
    }
}
