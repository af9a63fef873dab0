//! One scope at work: users who bring documents, operators who look after it.

use std::sync::Arc;
use std::time::Duration;

use crate::engines::chat::MAX_BODY_BYTES;
use crate::services::Issuer;
use indicatif::ProgressBar;
use reqwest::Method;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::error::WorkloadError;
use crate::job::client::{Answer, Client, ClientError, User};
use crate::job::documents::{Content, Document, Documents};

/// A longer document is sent up to here: 8 messages.
const MAX_DOCUMENT_BYTES: usize = 8 * MAX_BODY_BYTES;
/// Every so many documents the client leaves before the reply is complete.
const IMPATIENT_EVERY: usize = 5;
/// How many users a scope has.
const USERS: usize = 3;
/// How often a dashboard that is still reading is asked again, a second apart.
const STILL_READING: u32 = 300;
/// How long the tokens of the job are valid.
const TOKEN_LIFETIME: Duration = Duration::from_secs(3_600);

/// One scope's part of the main job.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) tenant: &'static str,
    pub(super) env: &'static str,
    pub(super) documents: Arc<Documents>,
    progress: ProgressBar,
    users: Vec<User>,
    operators: [User; 2],
}

impl Session {
    pub(super) fn new(
        client: Client,
        issuer: &Issuer,
        tenant: &'static str,
        env: &'static str,
        documents: Arc<Documents>,
        progress: ProgressBar,
    ) -> Result<Self, WorkloadError> {
        let user = |name: &str, traces: bool| -> Result<User, WorkloadError> {
            let token = issuer.token(tenant, env, name, TOKEN_LIFETIME)?;
            Ok(User { token: token.into(), traces })
        };
        let users = (1..=USERS).map(|number| user(&format!("u_{number}"), true)).collect::<Result<_, _>>()?;
        // Operators bring no ids, so they are made up and marked.
        let operators = [user("ops_1", false)?, user("ops_2", false)?];
        Ok(Self { client, tenant, env, documents, progress, users, operators })
    }

    /// The whole of a scope's work; `place` tells the scopes apart. Answers a thread that it made.
    pub(super) async fn day(&self, place: usize) -> Result<Option<String>, WorkloadError> {
        self.open_the_books().await?;
        self.set_the_controls().await?;
        let count = self.documents.items.len();
        let mut thread_id = None;
        for turn in 0..count {
            self.trouble(turn, thread_id.as_deref()).await?;
            // Each scope begins elsewhere, so that they are not in step.
            let document = &self.documents.items[(turn + place * count / super::SCOPES) % count];
            let user = self.user(turn);
            thread_id = self.bring(user, document, turn).await?.or(thread_id);
            self.file(user, document, turn).await?;
            self.progress.inc(1);
        }
        self.use_the_library().await?;
        self.read_the_controls().await?;
        self.close_the_books().await?;
        Ok(thread_id)
    }

    /// Sees what is spent and allows some more; in a new scope there is no policy to see yet.
    async fn open_the_books(&self) -> Result<(), WorkloadError> {
        let operator = self.operator();
        let seen = self.get(operator, "/v1/budget/summary").await?.ok();
        let spent = seen.map_or(Decimal::ZERO, |summary| spent(&summary));
        if self.is("acme", "staging") {
            // The sign is a slip of the keyboard.
            self.set_policy(Decimal::from(-500)).await?;
        }
        self.set_policy(spent + Decimal::from(500)).await?;
        Ok(())
    }

    pub(super) async fn set_policy(&self, limit: Decimal) -> Result<Answer, WorkloadError> {
        let policy = json!({"limit": limit.to_string(), "currency": "EUR"});
        self.put(self.operator(), "/v1/budget/policy", &policy).await
    }

    /// One document: a thread, its messages, a reply, and a look at the result.
    async fn bring(
        &self,
        user: &User,
        document: &Document,
        turn: usize,
    ) -> Result<Option<String>, WorkloadError> {
        let title = json!({"title": document.name});
        let Some(thread) = self.post(user, "/v1/chat/threads", &title).await?.ok() else { return Ok(None) };
        let id = text(&thread, "POST /v1/chat/threads", "thread_id")?;
        match &document.content {
            Content::Text(text) => self.send(user, &id, text).await?,
            Content::Image(bytes) => {
                let path = format!("/v1/chat/threads/{id}/images");
                self.failed(self.client.upload(user, &path, None, bytes.clone()).await)?;
            }
        }
        let patience = if turn % IMPATIENT_EVERY == IMPATIENT_EVERY - 1 { 2 } else { usize::MAX };
        self.listen(user, &id, patience).await?;
        self.get(user, &format!("/v1/chat/threads/{id}/messages")).await?;
        Ok(Some(id))
    }

    /// Sends a text as a client does: whole, and in parts when it is refused as too long.
    async fn send(&self, user: &User, id: &str, text: &str) -> Result<(), WorkloadError> {
        if self.say(user, id, text).await?.is_refused_with("chat.message_too_long") {
            for part in parts(text) {
                if self.say(user, id, part).await?.ok().is_none() {
                    break;
                }
            }
        }
        Ok(())
    }

    pub(super) async fn say(&self, user: &User, id: &str, body: &str) -> Result<Answer, WorkloadError> {
        self.post(user, &format!("/v1/chat/threads/{id}/messages"), &json!({"body": body})).await
    }

    /// Takes so many pieces of a reply, then leaves.
    pub(super) async fn listen(&self, user: &User, id: &str, patience: usize) -> Result<(), WorkloadError> {
        let path = format!("/v1/chat/threads/{id}/reply");
        let mut reply = self.failed(self.client.stream(user, &path).await)?;
        let mut taken = 0;
        while taken < patience
            && let Some(piece) = self.failed(reply.next().await)?
        {
            taken += piece;
        }
        Ok(())
    }

    /// Lists what there is, page by page, enters what was spent outside, and looks at the dashboard.
    async fn close_the_books(&self) -> Result<(), WorkloadError> {
        let operator = self.operator();
        let mut after = String::new();
        while let Some(page) = self.get(operator, &format!("/v1/chat/threads?limit=50{after}")).await?.ok()
            && let Some(last) = page.as_array().and_then(|page| page.last())
        {
            after = format!("&after={}", text(last, "GET /v1/chat/threads", "thread_id")?);
        }
        let usage = json!({"kind": "manual", "amount": "12.50", "origin": {"provider": "print_shop"}});
        self.post(operator, "/v1/budget/usage", &usage).await?;
        self.get(operator, "/v1/budget/summary").await?;
        for view in ["overview?hours=24", "budget", "temperature", "kpi", "controls", "activity", "ledgers"] {
            self.look(operator, &format!("/v1/bossman/{view}")).await?;
        }
        self.overview(operator).await?;
        let failures = self.look(operator, "/v1/bossman/events?outcome=error&limit=5").await?;
        let newest = failures.as_ref().and_then(|page| page["events"][0]["event"]["trace_id"].as_str());
        if let Some(trace_id) = newest {
            self.look(operator, &format!("/v1/bossman/traces/{trace_id}")).await?;
        }
        Ok(())
    }

    pub(super) fn is(&self, tenant: &str, env: &str) -> bool {
        self.tenant == tenant && self.env == env
    }

    /// One of the scope's users, who bring trace and request ids of their own.
    pub(super) fn user(&self, turn: usize) -> &User {
        &self.users[turn % USERS]
    }

    /// The operator of the scope.
    pub(super) fn operator(&self) -> &User {
        &self.operators[0]
    }

    /// A second operator: what takes two persons takes this one too.
    pub(super) fn second_operator(&self) -> &User {
        &self.operators[1]
    }

    pub(super) async fn get(&self, user: &User, path: &str) -> Result<Answer, WorkloadError> {
        self.failed(self.client.get(user, path).await)
    }

    /// A look at the bossman, which says when a ledger cannot be read to its end; the report says where it was
    /// changed.
    async fn look(&self, user: &User, path: &str) -> Result<Option<Value>, WorkloadError> {
        let answer = self.client.get(user, path).await;
        let is_part = match &answer {
            Err(ClientError::Failed { code, .. }) => code == "bossman.ledger_unreadable",
            Ok(Answer::Ok(view)) => {
                let said = view.get("freshness").unwrap_or(view);
                said["is_complete"] == false
            }
            _ => false,
        };
        if is_part {
            self.announce(&format!("a ledger of {}/{} cannot be read: {path}", self.tenant, self.env));
            return Ok(answer.ok().and_then(Answer::ok));
        }
        Ok(self.failed(answer)?.ok())
    }

    /// The dashboard's first page. Over a long ledger, or on a slow machine, the dashboard says that it is still reading:
    /// it is asked again, as a browser asks.
    async fn overview(&self, user: &User) -> Result<Answer, WorkloadError> {
        const PATH: &str = "/dashboard/api/overview";
        for _ in 0..STILL_READING {
            match self.client.get(user, PATH).await {
                Err(ClientError::Failed { code, .. }) if code == "dashboard.still_reading" => {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                answer => return self.failed(answer),
            }
        }
        self.get(user, PATH).await
    }

    pub(super) async fn post(&self, user: &User, path: &str, body: &Value) -> Result<Answer, WorkloadError> {
        self.failed(self.client.json(user, Method::POST, path, body).await)
    }

    pub(super) async fn put(&self, user: &User, path: &str, body: &Value) -> Result<Answer, WorkloadError> {
        self.failed(self.client.json(user, Method::PUT, path, body).await)
    }

    /// A line for who watches, above the progress bar.
    pub(super) fn announce(&self, line: &str) {
        self.progress.suspend(|| eprintln!("{line}"));
    }

    pub(super) fn failed<T>(&self, result: Result<T, ClientError>) -> Result<T, WorkloadError> {
        let (tenant, env) = (self.tenant, self.env);
        result.map_err(|source| WorkloadError::Client { tenant, env, source })
    }
}

/// What a budget's summary says is spent.
pub(super) fn spent(summary: &Value) -> Decimal {
    summary["spent"].as_str().and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// A field that the job goes on with.
pub(super) fn text(
    answer: &Value,
    request: &'static str,
    field: &'static str,
) -> Result<String, WorkloadError> {
    answer[field].as_str().map(str::to_owned).ok_or(WorkloadError::Answer { request, field })
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
