//! What a scope keeps and finds again: media under their hash, texts by likeness.

use crate::engines::vector::MAX_TEXT_BYTES;
use reqwest::Method;
use serde_json::json;

use super::error::WorkloadError;
use super::session::{Session, text};
use crate::job::client::User;
use crate::job::documents::{Content, Document};

/// Every so many documents are filed.
pub(super) const FILED_EVERY: usize = 4;

impl Session {
    /// Files a document: its bytes in the media, its text in the vector store.
    pub(super) async fn file(
        &self,
        user: &User,
        document: &Document,
        turn: usize,
    ) -> Result<(), WorkloadError> {
        if !turn.is_multiple_of(FILED_EVERY) {
            return Ok(());
        }
        let (kind, bytes) = match &document.content {
            Content::Text(text) => (Some("text/plain"), text.clone().into_bytes()),
            Content::Image(bytes) => (None, bytes.clone()),
        };
        self.failed(self.client.upload(user, "/v1/media", kind, bytes).await)?;
        if let Content::Text(whole) = &document.content {
            let end = whole.floor_char_boundary(MAX_TEXT_BYTES.min(64 * 1024));
            let body = json!({"title": document.name, "text": &whole[..end]});
            self.put(user, &format!("/v1/vector/documents/{}", document_id(&document.name)), &body).await?;
        }
        Ok(())
    }

    /// Looks for things again: by content, by question, and after their bytes.
    pub(super) async fn use_the_library(&self) -> Result<(), WorkloadError> {
        let user = self.user(0);
        for question in ["tenant and env of an event", "how is a log verified", "what does a call cost"] {
            self.post(user, "/v1/vector/query", &json!({"text": question, "top_k": 3})).await?;
        }
        let listed = self.get(user, "/v1/media?limit=3").await?.ok().unwrap_or_default();
        for object in listed.as_array().unwrap_or(&Vec::new()) {
            let id = text(object, "GET /v1/media", "media_id")?;
            self.get(user, &format!("/v1/media/{id}")).await?;
            self.post(user, &format!("/v1/media/{id}/verify"), &json!(null)).await?;
        }
        if self.is("acme", "staging") {
            self.mistake_the_library().await?;
        }
        Ok(())
    }

    /// A client with bugs: nothing to store, a type that is not so, what is not there.
    async fn mistake_the_library(&self) -> Result<(), WorkloadError> {
        let user = self.user(1);
        self.failed(self.client.upload(user, "/v1/media", None, Vec::new()).await)?;
        let text = b"plainly no picture".to_vec();
        self.failed(self.client.upload(user, "/v1/media", Some("image/png"), text).await)?;
        self.get(user, "/v1/media?limit=0").await?;
        let absent = "0".repeat(64);
        self.get(user, &format!("/v1/media/{absent}")).await?;
        self.post(user, &format!("/v1/media/{absent}/verify"), &json!(null)).await?;
        self.put(user, "/v1/vector/documents/blank", &json!({"title": "blank", "text": "  "})).await?;
        self.post(user, "/v1/vector/query", &json!({"text": "?!", "top_k": 3})).await?;
        let kept = json!({"title": "a note", "text": "A note that is kept for a moment and then removed."});
        self.put(user, "/v1/vector/documents/moment", &kept).await?;
        for _ in 0..2 {
            let removed =
                self.client.json(user, Method::DELETE, "/v1/vector/documents/moment", &json!(null)).await;
            self.failed(removed)?;
        }
        for view in ["overview?hours=0", "budget?hours=0", "activity?hours=0", "temperature?limit=0"] {
            self.get(user, &format!("/v1/bossman/{view}")).await?;
        }
        for view in ["kpi", "controls", "ledgers", "events"] {
            self.get(user, &format!("/v1/bossman/{view}?limit=0")).await?;
        }
        self.get(user, &format!("/v1/bossman/traces/{}", "1".repeat(32))).await?;
        Ok(())
    }
}

/// A document's name as an id: what an id may not hold becomes `-`.
fn document_id(name: &str) -> String {
    let id = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' { c } else { '-' };
    let id: String = name.to_ascii_lowercase().chars().map(id).collect();
    let skipped = id.len().saturating_sub(128);
    id[skipped..].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_become_ids() {
        assert_eq!(document_id("docs/Über mich.MD"), "docs--ber-mich.md");
        assert_eq!(document_id(&"a".repeat(300)).len(), 128);
    }
}
