//! The chat: threads of messages, and an assistant that replies.
//!
//! Texts are kept in the engine's own tables. The ledger gets their length and a keyed hash, never the
//! text: who may read events need not be who may read conversations.

mod error;
mod image;
mod model;
mod price;
mod reply;
mod state;
mod stream;

use std::sync::Arc;

use dataset_events::{RequestContext, current, dataset_event};
use futures::stream::BoxStream;
use sha2::{Digest, Sha256};

use super::ActionName;
use super::budget::{Usage, UsageKind};
use super::gate::{Action, Controls};
use super::nexus::Nexus;
pub use error::ChatError;
pub use image::ImageFormat;
pub use model::{
    Content, ImageInfo, InvalidThreadId, MAX_BODY_BYTES, MAX_IMAGE_BYTES, MAX_PAGE, MAX_TITLE_BYTES, Message,
    ReplyChunk, Role, Thread, ThreadId,
};

const CREATE_THREAD: ActionName = ActionName::from_static("chat.create_thread");
const SEND_MESSAGE: ActionName = ActionName::from_static("chat.send_message");
const ATTACH_IMAGE: ActionName = ActionName::from_static("chat.attach_image");
const STREAM_REPLY: ActionName = ActionName::from_static("chat.stream_reply");

/// The chat engine.
#[derive(Debug, Clone)]
pub struct Chat {
    nexus: Nexus,
    controls: Arc<dyn Controls>,
}

impl Chat {
    /// The chat over its data, behind controls that are in this process or in another.
    pub fn new(nexus: Nexus, controls: Arc<dyn Controls>) -> Self {
        Self { nexus, controls }
    }

    /// Begins a thread.
    ///
    /// # Errors
    ///
    /// - `chat.invalid_title`: the title is empty or longer than [`MAX_TITLE_BYTES`].
    /// - `kill_switch.blocked`, `strategy_lock.blocked`, `kpi.out_of_corridor`, `temperature.breached`, and the
    ///   failures of the controls: the gate does not let the action pass.
    /// - `chat.internal`: the database failed.
    #[dataset_event(
        surface = "chat.create_thread",
        access = "create",
        input(title_bytes = title.len(), title = hashed(title)),
        output(thread_id = ret.thread_id),
    )]
    pub async fn create_thread(&self, ctx: &RequestContext, title: &str) -> Result<Thread, ChatError> {
        if title.trim().is_empty() || title.len() > MAX_TITLE_BYTES {
            return Err(ChatError::InvalidTitle { len_bytes: title.len() });
        }
        self.controls.pass(ctx, &Action::free(CREATE_THREAD)).await?;
        let thread_id = ThreadId::generated(&self.nexus)?;
        let thread = Thread {
            thread_id,
            title: title.to_owned(),
            created_by: super::acting(ctx),
            created_at_us: self.nexus.now_us(),
            messages: 0,
        };
        let created = self.nexus.write(ctx, "create a thread", move |db| {
            state::insert_thread(db, &thread)?;
            Ok::<_, ChatError>(thread)
        });
        let thread = created.await?;
        current().source_ref("thread", &thread.thread_id);
        Ok(thread)
    }

    /// Adds a text to a thread, and charges for it.
    ///
    /// Message and charge are two transactions: a caller that goes away between them leaves a message
    /// that was not charged, under an event that says `cancelled`.
    ///
    /// # Errors
    ///
    /// - `chat.empty_message`, `chat.message_too_long`: no text, or more than [`MAX_BODY_BYTES`].
    /// - `kill_switch.blocked`, `strategy_lock.blocked`, `kpi.out_of_corridor`, `temperature.breached`, and the
    ///   failures of the controls: the gate does not let the action pass.
    /// - `chat.thread_not_found`: the scope has no such thread.
    /// - `budget.threshold_exceeded`, `budget.policy_not_found`: the budget does not allow it.
    /// - `chat.internal`: the database failed.
    #[dataset_event(
        surface = "chat.send_message",
        access = "create",
        input(thread_id, body_bytes = body.len(), body = hashed(body)),
        output(message_id = ret.message_id, position = ret.position),
        source_refs(thread = thread_id),
    )]
    pub async fn send_message(
        &self,
        ctx: &RequestContext,
        thread_id: &ThreadId,
        body: &str,
    ) -> Result<Message, ChatError> {
        if body.trim().is_empty() {
            return Err(ChatError::EmptyMessage);
        }
        if body.len() > MAX_BODY_BYTES {
            return Err(ChatError::MessageTooLong { len_bytes: body.len() });
        }
        let price = price::message(body.len());
        let (content, usage) = (Content::Text(body.to_owned()), Usage::new(UsageKind::ChatMessage, price));
        self.take_in(ctx, thread_id, content, SEND_MESSAGE, usage).await
    }

    /// Adds an image to a thread, and charges for it.
    ///
    /// # Errors
    ///
    /// - `chat.unsupported_image`: no PNG, GIF or JPEG, without dimensions, or above [`MAX_IMAGE_BYTES`].
    /// - The others of [`send_message`](Self::send_message), except those about the text.
    ///
    /// # Panics
    ///
    /// When the image ends inside its header: the parser trusts that an upload is whole.
    #[dataset_event(
        surface = "chat.attach_image",
        access = "create",
        input(thread_id, image_bytes = bytes.len()),
        output(message_id = ret.message_id, position = ret.position),
        source_refs(thread = thread_id),
    )]
    pub async fn attach_image(
        &self,
        ctx: &RequestContext,
        thread_id: &ThreadId,
        bytes: &[u8],
    ) -> Result<Message, ChatError> {
        let unsupported = || ChatError::UnsupportedImage { len_bytes: bytes.len() };
        if bytes.len() > MAX_IMAGE_BYTES {
            return Err(unsupported());
        }
        let format = ImageFormat::of(bytes).ok_or_else(unsupported)?;
        let (width, height) = image::dimensions(format, bytes).ok_or_else(unsupported)?;
        current().output("format", format).output("width", width).output("height", height);
        let sha256 = super::hex(&Sha256::digest(bytes));
        let info = ImageInfo { format, width, height, size_bytes: bytes.len() as u64, sha256 };
        let price = price::image(&info);
        let usage = Usage::new(UsageKind::ChatImage, price);
        self.take_in(ctx, thread_id, Content::Image(info), ATTACH_IMAGE, usage).await
    }

    /// The threads of the scope by id, after `after`, at most `limit` (1 to [`MAX_PAGE`]).
    ///
    /// # Errors
    ///
    /// - `chat.invalid_page`: `limit` is 0 or too large.
    /// - `chat.internal`: the database failed.
    #[dataset_event(
        surface = "chat.list_threads",
        access = "read",
        input(after, limit),
        output(count = ret.len()),
    )]
    pub async fn list_threads(
        &self,
        ctx: &RequestContext,
        after: Option<&ThreadId>,
        limit: u32,
    ) -> Result<Vec<Thread>, ChatError> {
        require_page(limit)?;
        let after = after.cloned();
        let read = self.nexus.read(ctx, "list threads", move |db| {
            state::threads(db, after.as_ref(), limit).map_err(ChatError::from)
        });
        read.await
    }

    /// The messages of a thread after position `after`, oldest first, at most `limit` (1 to [`MAX_PAGE`]).
    ///
    /// # Errors
    ///
    /// - `chat.invalid_page`: `limit` is 0 or too large.
    /// - `chat.thread_not_found`: the scope has no such thread.
    /// - `chat.internal`: the database failed.
    #[dataset_event(
        surface = "chat.list_messages",
        access = "read",
        input(thread_id, after, limit),
        output(count = ret.len()),
        source_refs(thread = thread_id),
    )]
    pub async fn list_messages(
        &self,
        ctx: &RequestContext,
        thread_id: &ThreadId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Message>, ChatError> {
        require_page(limit)?;
        let thread_id = thread_id.clone();
        let read = self.nexus.read(ctx, "list messages", move |db| {
            if state::thread(db, &thread_id)?.is_none() {
                return Err(ChatError::ThreadNotFound { thread_id });
            }
            Ok(state::messages(db, &thread_id, after, limit)?)
        });
        read.await
    }

    /// Replies to the newest text of a thread, in pieces as they are made.
    ///
    /// The gate is asked for the price of the longest reply before anything is read; what is charged is the
    /// price of the reply that was made, before its first piece is given. The reply becomes a message of the
    /// thread when its last piece was taken: a client that goes away before has paid, and leaves the thread as
    /// it was. An error is the stream's last item.
    ///
    /// # Errors
    ///
    /// - `kill_switch.blocked`, `strategy_lock.blocked`, `kpi.out_of_corridor`, `temperature.breached`, and the
    ///   failures of the controls: the gate does not let the action pass.
    /// - `chat.thread_not_found`: the scope has no such thread.
    /// - `chat.nothing_to_reply_to`: the thread holds no text of a user with words in it.
    /// - `budget.threshold_exceeded`, `budget.policy_not_found`: the budget does not allow it.
    /// - `chat.internal`: the database failed.
    #[dataset_event(
        surface = "chat.stream_reply",
        access = "create",
        input(thread_id),
        source_refs(thread = thread_id),
    )]
    pub fn stream_reply(
        &self,
        ctx: &RequestContext,
        thread_id: &ThreadId,
    ) -> BoxStream<'static, Result<ReplyChunk, ChatError>> {
        stream::reply(self.clone(), ctx.clone(), thread_id.clone())
    }

    /// The gate, the message, the charge: what every way into a thread has in common.
    async fn take_in(
        &self,
        ctx: &RequestContext,
        thread_id: &ThreadId,
        content: Content,
        action: ActionName,
        usage: Usage,
    ) -> Result<Message, ChatError> {
        self.controls.pass(ctx, &Action::priced(action, usage.amount)).await?;
        self.require_thread(ctx, thread_id).await?;
        let message = self.append(ctx, thread_id, Role::User, content).await?;
        self.controls.record_usage(ctx, &usage).await?;
        Ok(message)
    }

    async fn require_thread(&self, ctx: &RequestContext, thread_id: &ThreadId) -> Result<(), ChatError> {
        let thread_id = thread_id.clone();
        let read =
            self.nexus.read(ctx, "look for a thread", move |db| match state::thread(db, &thread_id)? {
                Some(_) => Ok(()),
                None => Err(ChatError::ThreadNotFound { thread_id }),
            });
        read.await
    }

    async fn append(
        &self,
        ctx: &RequestContext,
        thread_id: &ThreadId,
        role: Role,
        content: Content,
    ) -> Result<Message, ChatError> {
        let thread_id = thread_id.clone();
        let author = match role {
            Role::User => super::acting(ctx),
            Role::Assistant => "(assistant)".to_owned(),
        };
        let message_id = self.nexus.new_id("msg")?;
        let new = state::NewMessage { message_id, role, author, content, created_at_us: self.nexus.now_us() };
        let saved = self.nexus.write(ctx, "save a message", move |db| {
            state::append(db, &thread_id, new)?.ok_or(ChatError::ThreadNotFound { thread_id })
        });
        saved.await
    }
}

fn require_page(limit: u32) -> Result<(), ChatError> {
    if (1..=MAX_PAGE).contains(&limit) { Ok(()) } else { Err(ChatError::InvalidPage { limit }) }
}
