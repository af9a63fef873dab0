//! `/v1/chat`: threads, messages, images, replies.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use dataset_events::ErrorCode as _;
use dataset_events_service::{ApiError, Ctx, Json, Limits, Path, Query, Route, RouteTable};
use futures::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Answer;
use crate::engines::chat::{ChatError, MAX_IMAGE_BYTES, Message, ReplyChunk, Thread, ThreadId};
use crate::services::gateway::Gateway;

/// The pace at which the assistant speaks: clients see a reply grow, and can leave before its end.
const PACE: Duration = Duration::from_millis(2);

pub(in crate::services) fn routes() -> RouteTable<Gateway> {
    let image = Limits::new().body_bytes(MAX_IMAGE_BYTES as u64 + 64 * 1024);
    RouteTable::new()
        .route(Route::post("/v1/chat/threads", create_thread).errors::<ChatError>())
        .route(Route::get("/v1/chat/threads", list_threads).errors::<ChatError>())
        .route(Route::post("/v1/chat/threads/{thread_id}/messages", send_message).errors::<ChatError>())
        .route(Route::get("/v1/chat/threads/{thread_id}/messages", list_messages).errors::<ChatError>())
        .route(
            Route::post("/v1/chat/threads/{thread_id}/images", attach_image)
                .errors::<ChatError>()
                .limits(image),
        )
        .route(Route::post("/v1/chat/threads/{thread_id}/reply", reply).errors::<ChatError>())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewThread {
    title: String,
}

async fn create_thread(
    State(gateway): State<Gateway>,
    ctx: Ctx,
    Json(body): Json<NewThread>,
) -> Answer<Thread> {
    Ok(Json(gateway.chat.create_thread(&ctx, &body.title).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ThreadPage {
    after: Option<ThreadId>,
    #[serde(default = "fifty")]
    limit: u32,
}

fn fifty() -> u32 {
    50
}

async fn list_threads(
    State(gateway): State<Gateway>,
    ctx: Ctx,
    Query(page): Query<ThreadPage>,
) -> Answer<Vec<Thread>> {
    Ok(Json(gateway.chat.list_threads(&ctx, page.after.as_ref(), page.limit).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewMessage {
    body: String,
}

async fn send_message(
    State(gateway): State<Gateway>,
    ctx: Ctx,
    Path(thread_id): Path<ThreadId>,
    Json(message): Json<NewMessage>,
) -> Answer<Message> {
    Ok(Json(gateway.chat.send_message(&ctx, &thread_id, &message.body).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MessagePage {
    #[serde(default)]
    after: u64,
    #[serde(default = "fifty")]
    limit: u32,
}

async fn list_messages(
    State(gateway): State<Gateway>,
    ctx: Ctx,
    Path(thread_id): Path<ThreadId>,
    Query(page): Query<MessagePage>,
) -> Answer<Vec<Message>> {
    Ok(Json(gateway.chat.list_messages(&ctx, &thread_id, page.after, page.limit).await?))
}

async fn attach_image(
    State(gateway): State<Gateway>,
    ctx: Ctx,
    Path(thread_id): Path<ThreadId>,
    bytes: Bytes,
) -> Answer<Message> {
    Ok(Json(gateway.chat.attach_image(&ctx, &thread_id, &bytes).await?))
}

/// One line of a reply's stream.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Line<'a> {
    /// What the engine gave.
    Chunk(&'a ReplyChunk),
    /// The engine failed after the answer had begun; the last line.
    Error { code: &'a str },
}

/// The reply as lines of JSON (`application/x-ndjson`) while it is given. A failure before the first word is an
/// envelope; one after it is the last line.
async fn reply(
    State(gateway): State<Gateway>,
    ctx: Ctx,
    Path(thread_id): Path<ThreadId>,
) -> Result<Response, ApiError> {
    let mut chunks = gateway.chat.stream_reply(&ctx, &thread_id);
    let first = chunks.next().await.transpose()?;
    let lines = stream::iter(first.map(Ok)).chain(chunks).then(|chunk| async move {
        tokio::time::sleep(PACE).await;
        let line = match &chunk {
            Ok(chunk) => serde_json::to_vec(&Line::Chunk(chunk)),
            Err(error) => serde_json::to_vec(&Line::Error { code: error.code().name() }),
        };
        // Text and names always serialise.
        let mut line =
            line.unwrap_or_else(|_| json!({"error": {"code": "chat.internal"}}).to_string().into());
        line.push(b'\n');
        Ok::<_, Infallible>(Bytes::from(line))
    });
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((kind, Body::from_stream(lines)).into_response())
}
