//! `/v1/temperature`: bounds, snapshots, breaches.

use std::time::Duration;

use axum::extract::State;
use dataset_events_service::{Ctx, Json, Query, Route, RouteTable};
use rust_decimal::Decimal;
use serde::Deserialize;

use super::Answer;
use crate::engines::temperature::{Bounds, Breaches, Snapshot, TemperatureError};
use crate::engines::{Engines, Target};

pub(in crate::services) fn routes() -> RouteTable<Engines> {
    RouteTable::new()
        .route(Route::put("/v1/temperature/bounds", set_bounds).errors::<TemperatureError>())
        .route(Route::post("/v1/temperature/snapshots", snapshot).errors::<TemperatureError>())
        .route(Route::get("/v1/temperature/snapshots", recent).errors::<TemperatureError>())
        .route(Route::get("/v1/temperature/breaches", breaches).errors::<TemperatureError>())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetBounds {
    #[serde(with = "crate::exact")]
    floor: Decimal,
    #[serde(with = "crate::exact")]
    ceiling: Decimal,
    guards: Target,
    expected_version: Option<u64>,
}

async fn set_bounds(State(engines): State<Engines>, ctx: Ctx, Json(body): Json<SetBounds>) -> Answer<Bounds> {
    let SetBounds { floor, ceiling, guards, expected_version } = body;
    Ok(Json(engines.temperature.set_bounds(&ctx, floor, ceiling, &guards, expected_version).await?))
}

async fn snapshot(State(engines): State<Engines>, ctx: Ctx) -> Answer<Snapshot> {
    Ok(Json(engines.temperature.snapshot(&ctx).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Recent {
    #[serde(default = "twenty")]
    limit: u32,
}

fn twenty() -> u32 {
    20
}

async fn recent(
    State(engines): State<Engines>,
    ctx: Ctx,
    Query(query): Query<Recent>,
) -> Answer<Vec<Snapshot>> {
    Ok(Json(engines.temperature.recent(&ctx, query.limit).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Window {
    window_s: u64,
}

async fn breaches(State(engines): State<Engines>, ctx: Ctx, Query(query): Query<Window>) -> Answer<Breaches> {
    let window = Duration::from_secs(query.window_s);
    Ok(Json(engines.temperature.breaches(&ctx, window).await?))
}
