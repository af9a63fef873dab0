//! `/v1/media`: store, list, fetch, verify.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use dataset_events_service::{ApiError, Ctx, Json, Limits, Path, Query, Route, RouteTable};
use serde::Deserialize;

use super::Answer;
use crate::engines::Engines;
use crate::engines::media::{MAX_BYTES, MediaError, MediaId, MediaInfo, Stored};

pub(in crate::services) fn routes() -> RouteTable<Engines> {
    let upload = Limits::new().body_bytes(MAX_BYTES as u64 + 64 * 1024);
    RouteTable::new()
        .route(Route::post("/v1/media", store).errors::<MediaError>().limits(upload))
        .route(Route::get("/v1/media", list).errors::<MediaError>().limits(upload))
        .route(Route::get("/v1/media/{media_id}", fetch).errors::<MediaError>())
        .route(Route::post("/v1/media/{media_id}/verify", verify).errors::<MediaError>())
}

async fn store(State(engines): State<Engines>, ctx: Ctx, headers: HeaderMap, bytes: Bytes) -> Answer<Stored> {
    let declared = headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or("(not text)"));
    Ok(Json(engines.media.store(&ctx, &bytes, declared).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    after: Option<MediaId>,
    #[serde(default = "fifty")]
    limit: u32,
}

fn fifty() -> u32 {
    50
}

async fn list(State(engines): State<Engines>, ctx: Ctx, Query(page): Query<Page>) -> Answer<Vec<MediaInfo>> {
    Ok(Json(engines.media.list(&ctx, page.after.as_ref(), page.limit).await?))
}

async fn fetch(
    State(engines): State<Engines>,
    ctx: Ctx,
    Path(media_id): Path<MediaId>,
) -> Result<Response, ApiError> {
    let fetched = engines.media.fetch(&ctx, &media_id).await?;
    // A stored type was checked when it was stored; what cannot stand in a header is bytes.
    let kind = HeaderValue::from_str(&fetched.info.media_type)
        .unwrap_or(HeaderValue::from_static("application/octet-stream"));
    let headers: [(HeaderName, HeaderValue); 3] = [
        (header::CONTENT_TYPE, kind),
        // What a tenant's user uploaded is never run by a browser.
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment")),
    ];
    Ok((headers, fetched.bytes.to_vec()).into_response())
}

async fn verify(
    State(engines): State<Engines>,
    ctx: Ctx,
    Path(media_id): Path<MediaId>,
) -> Answer<MediaInfo> {
    Ok(Json(engines.media.verify(&ctx, &media_id).await?))
}
