//! What goes wrong in some scopes, and at which turn.

use dataset_events_examples::engines::budget::{Currency, Usage, UsageKind};
use dataset_events_examples::engines::chat::ThreadId;
use dataset_events_examples::engines::kill_switch::{Change, Reason, Target};
use futures::StreamExt as _;
use rust_decimal::Decimal;

use super::error::{WorkloadError, answered};
use super::session::Session;
use crate::expected_panic;

impl Session {
    /// The trouble of this turn, if it is one of a scope that has trouble.
    pub(super) async fn trouble(
        &self,
        turn: usize,
        thread_id: Option<&ThreadId>,
    ) -> Result<(), WorkloadError> {
        let count = self.documents.items.len();
        match (self.tenant, self.env) {
            ("globex", "staging") if turn == count / 3 => self.switch_off().await,
            ("globex", "staging") if turn == count / 3 + count.div_ceil(10) => self.switch_on().await,
            ("initech", "prod") if turn == count / 4 => self.cap_the_budget().await,
            ("initech", "prod") if turn == count * 3 / 4 => self.raise_the_budget().await,
            ("umbrella", "prod") if turn == count / 2 => self.break_off_an_upload(thread_id).await,
            ("umbrella", "staging") if turn == count / 2 => self.mistake_requests(thread_id).await,
            _ => Ok(()),
        }
    }

    /// An operator stops the chat; a second one, who does not know, comes too late.
    async fn switch_off(&self) -> Result<(), WorkloadError> {
        let ctx = self.operator()?;
        let switch = &self.engines.kill_switch;
        let engage = Change::Engage(Reason::Incident);
        answered(switch.update(&ctx, &Target::CHAT, engage, None).await)?.ok();
        let engage = Change::Engage(Reason::Maintenance);
        answered(switch.update(&ctx, &Target::CHAT, engage, Some(0)).await)?.ok();
        Ok(())
    }

    async fn switch_on(&self) -> Result<(), WorkloadError> {
        let ctx = self.operator()?;
        let switch = &self.engines.kill_switch;
        answered(switch.update(&ctx, &Target::CHAT, Change::Release(Reason::Incident), None).await)?.ok();
        Ok(())
    }

    /// Allows no more than what is spent by now.
    async fn cap_the_budget(&self) -> Result<(), WorkloadError> {
        let ctx = self.operator()?;
        let budget = &self.engines.budget;
        if let Ok(summary) = answered(budget.summary(&ctx).await)? {
            let (limit, currency) = (summary.spent.amount(), summary.policy.currency);
            answered(budget.set_policy(&ctx, limit, currency).await)?.ok();
        }
        Ok(())
    }

    async fn raise_the_budget(&self) -> Result<(), WorkloadError> {
        let ctx = self.operator()?;
        let budget = &self.engines.budget;
        if let Ok(summary) = answered(budget.summary(&ctx).await)? {
            let limit = summary.spent.amount() + Decimal::from(500);
            answered(budget.set_policy(&ctx, limit, Currency::EUR).await)?.ok();
        }
        Ok(())
    }

    /// A client loses its connection while it sends an image. The engine panics on what arrived; the
    /// task is the boundary at which the panic ends, as in a server.
    async fn break_off_an_upload(&self, thread_id: Option<&ThreadId>) -> Result<(), WorkloadError> {
        let Some(thread_id) = thread_id.cloned() else { return Ok(()) };
        let ctx = self.user(0)?;
        let whole = self.documents.images().find(|image| image.starts_with(b"\x89PNG"));
        // Without an image among the documents: the beginning that every PNG has.
        let mut upload = whole.unwrap_or(b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR").to_vec();
        upload.truncate(18);
        let chat = self.engines.chat.clone();
        let request = async move { chat.attach_image(&ctx, &thread_id, &upload).await };
        let ended = tokio::spawn(expected_panic::expecting(request)).await;
        match ended {
            Err(error) if error.is_panic() => Ok(()),
            Err(error) => Err(WorkloadError::Task(error)),
            Ok(_) => Err(WorkloadError::NoPanic),
        }
    }

    /// A client with bugs: no title, no text, a text as an image, an empty page, a negative amount.
    async fn mistake_requests(&self, thread_id: Option<&ThreadId>) -> Result<(), WorkloadError> {
        let Some(thread_id) = thread_id else { return Ok(()) };
        let ctx = self.user(1)?;
        let chat = &self.engines.chat;
        answered(chat.create_thread(&ctx, "").await)?.ok();
        answered(chat.send_message(&ctx, thread_id, " \n").await)?.ok();
        answered(chat.attach_image(&ctx, thread_id, b"<svg/>").await)?.ok();
        answered(chat.list_threads(&ctx, None, 0).await)?.ok();
        let budget = &self.engines.budget;
        answered(budget.record_usage(&ctx, &Usage::new(UsageKind::Manual, Decimal::NEGATIVE_ONE)).await)?
            .ok();
        self.mistake_the_library(&ctx).await
    }

    /// Asks for a thread that another scope has. The answer is the same as for one that nobody has.
    pub(super) async fn ask_for_a_foreign_thread(&self, foreign: &ThreadId) -> Result<(), WorkloadError> {
        let ctx = self.user(2)?;
        let chat = &self.engines.chat;
        answered(chat.list_messages(&ctx, foreign, 0, 50).await)?.ok();
        answered(chat.send_message(&ctx, foreign, "What did they say?").await)?.ok();
        let mut reply = chat.stream_reply(&ctx, foreign);
        while let Some(chunk) = reply.next().await {
            answered(chunk)?.ok();
        }
        Ok(())
    }
}
