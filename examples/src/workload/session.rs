//! One scope at work: users who bring documents, an operator who looks after the budget.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use dataset_events::{Ledger, RequestContext, SpanId, TraceId};
use dataset_events_examples::engines::Engines;
use dataset_events_examples::engines::budget::{Currency, Usage, UsageKind};
use dataset_events_examples::engines::chat::{ChatError, MAX_BODY_BYTES, ThreadId};
use futures::StreamExt as _;
use indicatif::ProgressBar;
use rust_decimal::Decimal;

use super::error::{WorkloadError, answered};
use crate::documents::{Content, Document, Documents};

/// A longer document is sent up to here: 8 messages.
const MAX_DOCUMENT_BYTES: usize = 8 * MAX_BODY_BYTES;
/// Every so many documents the client leaves before the reply is complete.
const IMPATIENT_EVERY: usize = 5;

/// One scope's part of the main job.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) engines: Engines,
    pub(super) ledger: Ledger,
    pub(super) tenant: &'static str,
    pub(super) env: &'static str,
    pub(super) documents: Arc<Documents>,
    pub(super) progress: ProgressBar,
}

impl Session {
    /// The whole of a scope's work; `place` tells the scopes apart. Answers a thread that it made.
    pub(super) async fn day(&self, place: usize) -> Result<Option<ThreadId>, WorkloadError> {
        self.open_the_books().await?;
        let count = self.documents.items.len();
        let mut thread_id = None;
        for turn in 0..count {
            self.trouble(turn, thread_id.as_ref()).await?;
            // Each scope begins elsewhere, so that they are not in step.
            let document = &self.documents.items[(turn + place * count / super::SCOPES) % count];
            let user = self.user(turn)?;
            thread_id = self.bring(&user, document, turn).await?.or(thread_id);
            self.keep(&user, document, turn).await?;
            self.progress.inc(1);
        }
        self.close_the_books().await?;
        self.look_back().await?;
        Ok(thread_id)
    }

    /// Sees what is spent and allows some more; in a new scope there is no policy to see yet.
    async fn open_the_books(&self) -> Result<(), WorkloadError> {
        let ctx = self.operator()?;
        let budget = &self.engines.budget;
        let seen = answered(budget.summary(&ctx).await)?;
        let spent = seen.map_or(Decimal::ZERO, |summary| summary.spent.amount());
        if self.is("acme", "staging") {
            // The sign is a slip of the keyboard.
            answered(budget.set_policy(&ctx, Decimal::from(-500), Currency::EUR).await)?.ok();
        }
        answered(budget.set_policy(&ctx, spent + Decimal::from(500), Currency::EUR).await)?.ok();
        Ok(())
    }

    /// One document: a thread, its messages, a reply, and a look at the result. One trace.
    async fn bring(
        &self,
        ctx: &RequestContext,
        document: &Document,
        turn: usize,
    ) -> Result<Option<ThreadId>, WorkloadError> {
        let chat = &self.engines.chat;
        let Ok(thread) = answered(chat.create_thread(ctx, &document.name).await)? else { return Ok(None) };
        let id = thread.thread_id;
        match &document.content {
            Content::Text(text) => self.send(ctx, &id, text).await?,
            Content::Image(bytes) => {
                answered(chat.attach_image(ctx, &id, bytes).await)?.ok();
            }
        }
        let mut reply = chat.stream_reply(ctx, &id);
        let patience = if turn % IMPATIENT_EVERY == IMPATIENT_EVERY - 1 { 2 } else { usize::MAX };
        let mut taken = 0;
        while taken < patience
            && let Some(chunk) = reply.next().await
        {
            answered(chunk)?.ok();
            taken += 1;
        }
        drop(reply);
        answered(chat.list_messages(ctx, &id, 0, 50).await)?.ok();
        Ok(Some(id))
    }

    /// Sends a text as a client does: whole, and in parts when it is refused as too long.
    async fn send(&self, ctx: &RequestContext, id: &ThreadId, text: &str) -> Result<(), WorkloadError> {
        let chat = &self.engines.chat;
        let whole = answered(chat.send_message(ctx, id, text).await)?;
        if let Err(ChatError::MessageTooLong { .. }) = whole {
            for part in parts(text) {
                if answered(chat.send_message(ctx, id, part).await)?.is_err() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Lists what there is, page by page, and enters what was spent outside.
    async fn close_the_books(&self) -> Result<(), WorkloadError> {
        let ctx = self.operator()?;
        let chat = &self.engines.chat;
        let mut after: Option<ThreadId> = None;
        while let Ok(page) = answered(chat.list_threads(&ctx, after.as_ref(), 50).await)?
            && let Some(last) = page.last()
        {
            after = Some(last.thread_id.clone());
        }
        let budget = &self.engines.budget;
        answered(budget.record_usage(&ctx, &Usage::new(UsageKind::Manual, Decimal::new(1250, 2))).await)?
            .ok();
        answered(budget.summary(&ctx).await)?.ok();
        Ok(())
    }

    pub(super) fn is(&self, tenant: &str, env: &str) -> bool {
        self.tenant == tenant && self.env == env
    }

    /// A request of one of the scope's users, as it comes in with a client's trace.
    pub(super) fn user(&self, turn: usize) -> Result<RequestContext, WorkloadError> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        let (trace, rest) = bytes.split_at(16);
        let (span, request) = rest.split_at(8);
        let trace_id = TraceId::from_bytes(trace.try_into().unwrap_or([1; 16]));
        let span_id = SpanId::from_bytes(span.try_into().unwrap_or([1; 8]));
        let request = u64::from_be_bytes(request.try_into().unwrap_or_default());
        let user = turn % 3 + 1;
        let mut builder = self
            .ledger
            .context(self.tenant, self.env)
            .user_id(format!("u_{user}"))
            .auth_subject(format!("demo|{}|{user}", self.tenant))
            .request_id(format!("req-{request:016x}"))
            // The block that is set aside for documentation.
            .client_ip(IpAddr::V4(Ipv4Addr::new(192, 0, 2, user as u8)))
            .user_agent("dataset-events-examples");
        if let (Some(trace_id), Some(span_id)) = (trace_id, span_id) {
            builder = builder.trace_id(trace_id).parent_span_id(span_id);
        }
        Ok(builder.build()?)
    }

    /// A request of the scope's operator; it brings no ids, so they are made up and marked.
    pub(super) fn operator(&self) -> Result<RequestContext, WorkloadError> {
        Ok(self.ledger.context(self.tenant, self.env).user_id("ops_1").build()?)
    }
}

/// A text in messages: at line ends where there are any, up to [`MAX_DOCUMENT_BYTES`].
fn parts(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() && parts.len() < MAX_DOCUMENT_BYTES / MAX_BODY_BYTES {
        let mut end = MAX_BODY_BYTES.min(rest.len());
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        if end < rest.len()
            && let Some(line_end) = rest[..end].rfind('\n')
        {
            end = line_end + 1;
        }
        let (part, after) = rest.split_at(end);
        parts.push(part);
        rest = after;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_end_at_lines_and_fit_a_message() {
        let text = "line of text with ä\n".repeat(2_000);
        let parts = parts(&text);
        assert!(parts.len() > 2 && parts.iter().all(|part| part.len() <= MAX_BODY_BYTES));
        assert!(parts.iter().all(|part| part.ends_with('\n')));
        assert_eq!(parts.concat(), text);
    }

    #[test]
    fn a_text_without_lines_is_cut_at_characters_and_bounded() {
        let text = "ä".repeat(MAX_DOCUMENT_BYTES);
        let parts = parts(&text);
        assert_eq!(parts.len(), 8);
        assert!(text.starts_with(&parts.concat()));
    }
}
