//! What a scope keeps of the documents, finds in them, and sees of its own work.

use std::time::{SystemTime, UNIX_EPOCH};

use dataset_events::{RequestContext, TraceId};
use dataset_events_examples::engines::Bossman;
use dataset_events_examples::engines::bossman::{EventFilter, PageRequest, Window};
use dataset_events_examples::engines::media::MediaId;
use dataset_events_examples::engines::vector::{DocumentId, MAX_TEXT_BYTES};

use super::error::{WorkloadError, answered};
use super::session::Session;
use crate::documents::{Content, Document};

/// Every so many documents somebody looks something up.
const LOOK_UP_EVERY: usize = 10;

impl Session {
    /// Keeps a document as an object, and its text for searches; sometimes looks for more of the kind.
    pub(super) async fn keep(
        &self,
        ctx: &RequestContext,
        document: &Document,
        turn: usize,
    ) -> Result<(), WorkloadError> {
        let media = &self.engines.media;
        let bytes = match &document.content {
            Content::Text(text) => text.as_bytes(),
            Content::Image(bytes) => bytes.as_slice(),
        };
        if let Ok(stored) = answered(media.store(ctx, bytes, None).await)?
            && turn.is_multiple_of(LOOK_UP_EVERY)
        {
            answered(media.fetch(ctx, &stored.info.media_id).await)?.ok();
        }
        let Content::Text(text) = &document.content else { return Ok(()) };
        // Names of files are what users write, so that the id is a number.
        let id: DocumentId = format!("doc_{turn}").parse()?;
        let vector = &self.engines.vector;
        let beginning = &text[..text.floor_char_boundary(MAX_TEXT_BYTES)];
        answered(vector.ingest(ctx, &id, "", beginning).await)?.ok();
        if turn.is_multiple_of(LOOK_UP_EVERY) {
            let line = text.lines().find(|line| line.split_whitespace().count() > 2).unwrap_or("ledger");
            let question = &line[..line.floor_char_boundary(200)];
            answered(vector.query(ctx, question, 3).await)?.ok();
        }
        Ok(())
    }

    /// Checks every object, takes one document out, and looks at the dashboard and at one trace.
    pub(super) async fn look_back(&self) -> Result<(), WorkloadError> {
        let ctx = self.operator()?;
        let media = &self.engines.media;
        let mut after: Option<MediaId> = None;
        while let Ok(page) = answered(media.list(&ctx, after.as_ref(), 50).await)?
            && let Some(last) = page.last()
        {
            for info in &page {
                answered(media.verify(&ctx, &info.media_id).await)?.ok();
            }
            after = Some(last.media_id.clone());
        }
        answered(self.engines.vector.remove(&ctx, &"doc_0".parse()?).await)?.ok();

        // A ledger that the dashboard cannot read does not end the job: the report at its end tells of it.
        let bossman = Bossman::new(self.ledger.clone());
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now_us = i64::try_from(since_1970.as_micros()).unwrap_or(i64::MAX);
        bossman.overview(&ctx, Window::hours_until(now_us, 24)).await.ok();
        let failures =
            EventFilter { outcome: Some(dataset_events::Outcome::Error), ..EventFilter::default() };
        let page = PageRequest { limit: 20, after: None };
        if let Ok(page) = bossman.events(&ctx, &failures, &page).await
            && let Some(newest) = page.events.first()
        {
            bossman.trace(&ctx, newest.event.trace_id).await.ok();
        }
        Ok(())
    }

    /// A client with bugs: no upload, a wrong type, what was never stored, nothing to search, empty pages.
    pub(super) async fn mistake_the_library(&self, ctx: &RequestContext) -> Result<(), WorkloadError> {
        let (media, vector) = (&self.engines.media, &self.engines.vector);
        answered(media.store(ctx, b"", None).await)?.ok();
        answered(media.store(ctx, b"<svg/>", Some("image/png")).await)?.ok();
        let absent = MediaId::of(b"never stored");
        answered(media.fetch(ctx, &absent).await)?.ok();
        answered(media.verify(ctx, &absent).await)?.ok();
        answered(media.list(ctx, None, 0).await)?.ok();
        let absent: DocumentId = "absent".parse()?;
        answered(vector.ingest(ctx, &absent, "", "...").await)?.ok();
        answered(vector.query(ctx, "?", 3).await)?.ok();
        answered(vector.remove(ctx, &absent).await)?.ok();
        let bossman = Bossman::new(self.ledger.clone());
        bossman.overview(ctx, Window { since_us: 1, until_us: 1 }).await.ok();
        let page = PageRequest { limit: 0, after: None };
        bossman.events(ctx, &EventFilter::default(), &page).await.ok();
        if let Some(trace_id) = TraceId::from_bytes([0xff; 16]) {
            bossman.trace(ctx, trace_id).await.ok();
        }
        Ok(())
    }
}
