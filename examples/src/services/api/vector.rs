//! `/v1/vector`: ingest, query, remove.

use axum::extract::State;
use dataset_events_service::{Ctx, Json, Path, Route, RouteTable};
use serde::{Deserialize, Serialize};

use super::Answer;
use crate::engines::Engines;
use crate::engines::vector::{DocumentId, Hit, Ingested, VectorError};

pub(in crate::services) fn routes() -> RouteTable<Engines> {
    RouteTable::new()
        .route(Route::put("/v1/vector/documents/{document_id}", ingest).errors::<VectorError>())
        .route(Route::delete("/v1/vector/documents/{document_id}", remove).errors::<VectorError>())
        .route(Route::post("/v1/vector/query", query).errors::<VectorError>())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    title: String,
    text: String,
}

async fn ingest(
    State(engines): State<Engines>,
    ctx: Ctx,
    Path(document_id): Path<DocumentId>,
    Json(body): Json<Document>,
) -> Answer<Ingested> {
    Ok(Json(engines.vector.ingest(&ctx, &document_id, &body.title, &body.text).await?))
}

/// How many chunks were removed.
#[derive(Serialize)]
struct Removed {
    chunks: u64,
}

async fn remove(
    State(engines): State<Engines>,
    ctx: Ctx,
    Path(document_id): Path<DocumentId>,
) -> Answer<Removed> {
    Ok(Json(Removed { chunks: engines.vector.remove(&ctx, &document_id).await? }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    text: String,
    top_k: u32,
}

async fn query(State(engines): State<Engines>, ctx: Ctx, Json(body): Json<Query>) -> Answer<Vec<Hit>> {
    Ok(Json(engines.vector.query(&ctx, &body.text, body.top_k).await?))
}
