//! Chat activity: threads, messages, images and replies.

use dataset_events::read_models::{Bucket, EventPlace, LatestN, ReadModel, Windowed};
use dataset_events::{DatasetEvent, Outcome};
use serde::{Deserialize, Serialize};

use super::cause::acting;
use super::reading::{input, source_ref};
use super::{Cause, Span, Window};

/// Follows the chat of a scope.
#[derive(Debug, Clone, Copy, Default)]
pub struct ChatModel;

/// What is known of a scope's chat.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatState {
    counts: Windowed<ChatCounts>,
    latest: LatestN<ChatAction, 50>,
}

/// What was done in the chat in a span of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatCounts {
    /// Threads that were begun.
    pub threads: u64,
    /// Texts that were taken in.
    pub messages: u64,
    /// Their bytes.
    pub message_bytes: u64,
    /// Images that were taken in.
    pub images: u64,
    /// Their bytes.
    pub image_bytes: u64,
    /// Replies that were given in full.
    pub replies: u64,
    /// Replies whose client left before their end.
    pub abandoned_replies: u64,
    /// What the gate, or another rule, refused.
    pub denied: u64,
    /// What failed otherwise.
    pub failed: u64,
    /// Lists of threads and messages that were read.
    pub reads: u64,
}

/// One thing done in the chat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatAction {
    /// The surface.
    pub surface: String,
    /// How it ended.
    pub outcome: Outcome,
    /// The code of a failure.
    pub code: Option<String>,
    /// The thread.
    pub thread_id: Option<String>,
    /// Who.
    pub by: String,
    /// The event.
    pub event: Cause,
}

/// The chat of a scope as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChatActivity {
    /// The span that `counts` are of.
    pub span: Span,
    /// What was done in it.
    pub counts: ChatCounts,
    /// The latest writes, newest first, of any time.
    pub latest: Vec<ChatAction>,
}

impl ChatState {
    /// What was done in a window, and the latest `limit` writes.
    pub fn view(&self, window: Window, limit: usize) -> ChatActivity {
        let span = Span::over(&self.counts, window);
        let latest = self.latest.newest_first().take(limit).map(|(_, action)| action.clone());
        ChatActivity { span, counts: span.sum(&self.counts), latest: latest.collect() }
    }
}

impl Bucket for ChatCounts {
    fn merge(&mut self, other: &Self) {
        self.threads += other.threads;
        self.messages += other.messages;
        self.message_bytes += other.message_bytes;
        self.images += other.images;
        self.image_bytes += other.image_bytes;
        self.replies += other.replies;
        self.abandoned_replies += other.abandoned_replies;
        self.denied += other.denied;
        self.failed += other.failed;
        self.reads += other.reads;
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Taken {
    body_bytes: u64,
    image_bytes: u64,
}

fn counted(event: &DatasetEvent) -> ChatCounts {
    let none = ChatCounts::default();
    match (event.outcome, &*event.surface) {
        (Outcome::Denied, _) => ChatCounts { denied: 1, ..none },
        (Outcome::Cancelled, "chat.stream_reply") => ChatCounts { abandoned_replies: 1, ..none },
        (Outcome::Ok, "chat.create_thread") => ChatCounts { threads: 1, ..none },
        (Outcome::Ok, "chat.send_message") => {
            let taken: Taken = input(event).unwrap_or_default();
            ChatCounts { messages: 1, message_bytes: taken.body_bytes, ..none }
        }
        (Outcome::Ok, "chat.attach_image") => {
            let taken: Taken = input(event).unwrap_or_default();
            ChatCounts { images: 1, image_bytes: taken.image_bytes, ..none }
        }
        (Outcome::Ok, "chat.stream_reply") => ChatCounts { replies: 1, ..none },
        (Outcome::Ok, _) => ChatCounts { reads: 1, ..none },
        _ => ChatCounts { failed: 1, ..none },
    }
}

impl ReadModel for ChatModel {
    type State = ChatState;
    const NAME: &'static str = "chat";
    const VERSION: u32 = 1;

    fn selects(&self, event: &DatasetEvent) -> bool {
        event.surface.starts_with("chat.")
    }

    fn apply(&self, state: &mut ChatState, event: &DatasetEvent) {
        let counts = counted(event);
        state.counts.add(event.recorded_at, |bucket| bucket.merge(&counts));
        if !event.surface.starts_with("chat.list_") {
            state.latest.offer(EventPlace::of(event), || ChatAction {
                surface: event.surface.clone(),
                outcome: event.outcome,
                code: event.code().map(str::to_owned),
                thread_id: source_ref(event, "thread").map(str::to_owned),
                by: acting(event),
                event: Cause::of(event),
            });
        }
    }
}
