//! What goes wrong in some scopes, and at which turn.

use rust_decimal::Decimal;
use serde_json::json;

use super::controls::ANSWERED;
use super::error::WorkloadError;
use super::library::FILED_EVERY;
use super::session::{Session, spent, text};
use crate::job::client::{Answer, ClientError};

impl Session {
    /// The trouble of this turn, if it is one of a scope that has trouble.
    pub(super) async fn trouble(&self, turn: usize, thread_id: Option<&str>) -> Result<(), WorkloadError> {
        let count = self.documents.items.len();
        let third = count / 3;
        // Long enough that a document is filed meanwhile, however few there are, and over before the last one.
        let later = (third + count.div_ceil(10).max(FILED_EVERY)).min(count.saturating_sub(1));
        match (self.tenant, self.env) {
            ("globex", "staging") if turn == third => self.switch_off().await,
            ("globex", "staging") if turn == later => self.switch_on().await,
            ("acme", "prod") if turn == third => self.lock_a_strategy(thread_id).await,
            ("globex", "prod") if turn == third => self.lose_answers().await,
            ("globex", "prod") if turn == later => self.answer_again().await,
            ("initech", "staging") if turn == third => self.heat_up().await,
            ("initech", "staging") if turn == later => self.cool_down().await,
            ("initech", "prod") if turn == count / 4 => self.cap_the_budget().await,
            ("initech", "prod") if turn == count * 3 / 4 => self.raise_the_budget().await,
            ("umbrella", "prod") if turn == count / 2 => self.break_off_an_upload(thread_id).await,
            ("umbrella", "staging") if turn == count / 2 => self.mistake_requests(thread_id).await,
            _ => Ok(()),
        }
    }

    /// An operator stops the chat; a second one, who does not know, comes too late.
    async fn switch_off(&self) -> Result<(), WorkloadError> {
        let path = "/v1/kill-switches/chat";
        let engage = json!({"change": "engage", "reason": "incident"});
        self.put(self.operator(), path, &engage).await?;
        let engage = json!({"change": "engage", "reason": "maintenance", "expected_version": 0});
        self.put(self.second_operator(), path, &engage).await?;
        self.get(self.operator(), path).await?;
        Ok(())
    }

    async fn switch_on(&self) -> Result<(), WorkloadError> {
        let release = json!({"change": "release", "reason": "incident"});
        self.put(self.operator(), "/v1/kill-switches/chat", &release).await?;
        self.get(self.operator(), "/v1/kill-switches/chat").await?;
        Ok(())
    }

    /// One operator proposes a lock and may not approve it; another does. Then nobody may send, until it is
    /// released. A second proposal is withdrawn.
    async fn lock_a_strategy(&self, thread_id: Option<&str>) -> Result<(), WorkloadError> {
        let locks = "/v1/strategy-locks";
        let proposal = json!({
            "strategy": "bulk_upload",
            "pattern": "chat.send_message",
            "reason": "the terms of bulk uploads are being looked at",
        });
        let (first, second) = (self.operator(), self.second_operator());
        let mut ids = Vec::new();
        for _ in 0..2 {
            let Some(lock) = self.post(first, locks, &proposal).await?.ok() else { return Ok(()) };
            ids.push(text(&lock, "POST /v1/strategy-locks", "lock_id")?);
        }
        let seen = |version: u64| json!({"expected_version": version});
        self.post(first, &format!("{locks}/{}/approve", ids[0]), &seen(1)).await?;
        self.post(second, &format!("{locks}/{}/approve", ids[0]), &seen(1)).await?;
        if let Some(thread_id) = thread_id {
            self.say(self.user(0), thread_id, "May I send this?").await?;
        }
        self.post(second, &format!("{locks}/{}/release", ids[0]), &seen(1)).await?;
        self.post(second, &format!("{locks}/{}/release", ids[0]), &seen(2)).await?;
        self.post(first, &format!("{locks}/{}/withdraw", ids[1]), &seen(7)).await?;
        self.post(first, &format!("{locks}/{}/withdraw", ids[1]), &seen(1)).await?;
        let without_reason = json!({"strategy": "bulk_upload", "pattern": "chat.*", "reason": " "});
        self.post(first, locks, &without_reason).await?;
        Ok(())
    }

    /// The share of answers leaves its corridor, which guards the media.
    async fn lose_answers(&self) -> Result<(), WorkloadError> {
        self.read_off(ANSWERED, "61.25").await?;
        self.take_the_temperature().await?;
        Ok(())
    }

    async fn answer_again(&self) -> Result<(), WorkloadError> {
        self.read_off(ANSWERED, "96").await?;
        self.take_the_temperature().await?;
        Ok(())
    }

    /// Bounds that the temperature of now does not keep: nothing is ingested.
    async fn heat_up(&self) -> Result<(), WorkloadError> {
        let tight = json!({"floor": "98", "ceiling": "99.5", "guards": "vector"});
        self.put(self.operator(), "/v1/temperature/bounds", &tight).await?;
        Ok(())
    }

    async fn cool_down(&self) -> Result<(), WorkloadError> {
        let wide = json!({"floor": "5", "ceiling": "95", "guards": "vector"});
        self.put(self.operator(), "/v1/temperature/bounds", &wide).await?;
        Ok(())
    }

    /// Allows no more than what is spent by now.
    async fn cap_the_budget(&self) -> Result<(), WorkloadError> {
        if let Some(summary) = self.get(self.operator(), "/v1/budget/summary").await?.ok() {
            self.set_policy(spent(&summary)).await?;
        }
        Ok(())
    }

    async fn raise_the_budget(&self) -> Result<(), WorkloadError> {
        if let Some(summary) = self.get(self.operator(), "/v1/budget/summary").await?.ok() {
            self.set_policy(spent(&summary) + Decimal::from(500)).await?;
        }
        Ok(())
    }

    /// A client loses its connection while it sends an image. The engine panics on what arrived; the request
    /// is the boundary at which the panic ends.
    async fn break_off_an_upload(&self, thread_id: Option<&str>) -> Result<(), WorkloadError> {
        let Some(thread_id) = thread_id else { return Ok(()) };
        let whole = self.documents.images().find(|image| image.starts_with(b"\x89PNG"));
        // Without an image among the documents: the beginning that every PNG has.
        let mut upload = whole.unwrap_or(b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR").to_vec();
        upload.truncate(18);
        let path = format!("/v1/chat/threads/{thread_id}/images");
        self.announce("expected: an engine panics on an upload that broke off");
        match self.client.upload(self.user(0), &path, None, upload).await {
            Err(ClientError::Failed { code, .. }) if code == "internal" => Ok(()),
            Ok(Answer::Ok(_)) => Err(WorkloadError::NoPanic { answer: "with success".to_owned() }),
            Ok(Answer::Refused { code }) => Err(WorkloadError::NoPanic { answer: code }),
            Err(error) => self.failed(Err(error)),
        }
    }

    /// A client with bugs: no title, no text, a text as an image, an empty page, a negative amount.
    async fn mistake_requests(&self, thread_id: Option<&str>) -> Result<(), WorkloadError> {
        let Some(thread_id) = thread_id else { return Ok(()) };
        let user = self.user(1);
        self.post(user, "/v1/chat/threads", &json!({"title": ""})).await?;
        self.say(user, thread_id, " \n").await?;
        let path = format!("/v1/chat/threads/{thread_id}/images");
        self.failed(self.client.upload(user, &path, None, b"<svg/>".to_vec()).await)?;
        self.get(user, "/v1/chat/threads?limit=0").await?;
        let negative = json!({"kind": "manual", "amount": "-1"});
        self.post(user, "/v1/budget/usage", &negative).await?;
        self.get(user, "/v1/no/such/route").await?;
        Ok(())
    }

    /// Asks for a thread that another scope has. The answer is the same as for one that nobody has.
    pub(super) async fn ask_for_a_foreign_thread(&self, foreign: &str) -> Result<(), WorkloadError> {
        let user = self.user(2);
        self.get(user, &format!("/v1/chat/threads/{foreign}/messages")).await?;
        self.say(user, foreign, "What did they say?").await?;
        self.listen(user, foreign, usize::MAX).await
    }
}
