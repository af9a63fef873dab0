//! A reply while it is being given.

use std::collections::VecDeque;

use dataset_events::RequestContext;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};

use super::model::{Content, ReplyChunk, Role, ThreadId};
use super::{Chat, ChatError, STREAM_REPLY, price, reply, state};
use crate::engines::budget::{Label, Origin, Usage, UsageKind};
use crate::engines::gate::Action;

/// Replies are made in this program, by choosing sentences.
const PROVIDER: Label = Label::from_static("built-in");
const MODEL: Label = Label::from_static("telling-sentences");

/// What a reply in progress owns: the stream outlives the call that made it.
struct Reply {
    chat: Chat,
    ctx: RequestContext,
    thread_id: ThreadId,
    stage: Stage,
}

enum Stage {
    Thinking,
    Speaking { whole: String, left: VecDeque<String> },
    Ended,
}

pub(super) fn reply(
    chat: Chat,
    ctx: RequestContext,
    thread_id: ThreadId,
) -> BoxStream<'static, Result<ReplyChunk, ChatError>> {
    let reply = Reply { chat, ctx, thread_id, stage: Stage::Thinking };
    stream::try_unfold(reply, |mut reply| async move {
        let chunk = reply.next().await?;
        Ok(chunk.map(|chunk| (chunk, reply)))
    })
    .boxed()
}

impl Reply {
    async fn next(&mut self) -> Result<Option<ReplyChunk>, ChatError> {
        // A chunk is no reason to keep the thread from others, however fast the client takes them.
        tokio::task::yield_now().await;
        match std::mem::replace(&mut self.stage, Stage::Ended) {
            Stage::Thinking => {
                let whole = self.think().await?;
                let mut left: VecDeque<String> = reply::chunks(&whole).into();
                let first = left.pop_front().map(ReplyChunk::Text);
                self.stage = Stage::Speaking { whole, left };
                Ok(first)
            }
            Stage::Speaking { whole, mut left } => match left.pop_front() {
                Some(chunk) => {
                    self.stage = Stage::Speaking { whole, left };
                    Ok(Some(ReplyChunk::Text(chunk)))
                }
                None => self.end(whole).await.map(Some),
            },
            Stage::Ended => Ok(None),
        }
    }

    /// Passes the gate, makes the reply and charges for it: who has its first piece has paid for all, wherever
    /// the stream is left.
    async fn think(&self) -> Result<String, ChatError> {
        let Self { chat, ctx, thread_id, .. } = self;
        let at_most = price::reply(reply::MAX_REPLY_BYTES);
        chat.controls.pass(ctx, &Action::priced(STREAM_REPLY, at_most)).await?;
        chat.require_thread(ctx, thread_id).await?;
        let id = thread_id.clone();
        let text = chat.nexus.read(ctx, "read the newest text", move |db| {
            state::last_user_text(db, &id).map_err(ChatError::from)
        });
        let whole = text.await?.and_then(|text| reply::reply_to(&text));
        let whole = whole.ok_or_else(|| ChatError::NothingToReplyTo { thread_id: thread_id.clone() })?;
        let origin = Origin { provider: Some(PROVIDER), model: Some(MODEL), tool: None };
        let usage = Usage::new(UsageKind::ChatReply, price::reply(whole.len())).of(origin);
        chat.controls.record_usage(ctx, &usage).await?;
        Ok(whole)
    }

    /// Keeps the reply.
    async fn end(&self, whole: String) -> Result<ReplyChunk, ChatError> {
        let Self { chat, ctx, thread_id, .. } = self;
        let message = chat.append(ctx, thread_id, Role::Assistant, Content::Text(whole)).await?;
        Ok(ReplyChunk::Done { message_id: message.message_id })
    }
}
