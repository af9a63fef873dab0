//! `/v1/kpis`: define, set a corridor, record, read.

use axum::extract::State;
use dataset_events_service::{Ctx, Json, Path, Route, RouteTable};
use rust_decimal::Decimal;
use serde::Deserialize;

use super::Answer;
use crate::engines::kpi::{Direction, Kpi, KpiError, KpiName, KpiStatus, Reading, Unit};
use crate::engines::{Engines, Target};

pub(in crate::services) fn routes() -> RouteTable<Engines> {
    RouteTable::new()
        .route(Route::get("/v1/kpis", list).errors::<KpiError>())
        .route(Route::put("/v1/kpis/{name}", define).errors::<KpiError>())
        .route(Route::put("/v1/kpis/{name}/corridor", set_corridor).errors::<KpiError>())
        .route(Route::post("/v1/kpis/{name}/readings", record).errors::<KpiError>())
        .route(Route::get("/v1/kpis/{name}/latest", latest).errors::<KpiError>())
}

async fn list(State(engines): State<Engines>, ctx: Ctx) -> Answer<Vec<KpiStatus>> {
    Ok(Json(engines.kpi.list(&ctx).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Define {
    unit: Unit,
    direction: Direction,
}

async fn define(
    State(engines): State<Engines>,
    ctx: Ctx,
    Path(name): Path<KpiName>,
    Json(body): Json<Define>,
) -> Answer<Kpi> {
    Ok(Json(engines.kpi.define(&ctx, &name, &body.unit, body.direction).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetCorridor {
    #[serde(with = "crate::exact")]
    low: Decimal,
    #[serde(with = "crate::exact")]
    high: Decimal,
    guards: Option<Target>,
    weight: u32,
}

async fn set_corridor(
    State(engines): State<Engines>,
    ctx: Ctx,
    Path(name): Path<KpiName>,
    Json(body): Json<SetCorridor>,
) -> Answer<Kpi> {
    let SetCorridor { low, high, guards, weight } = body;
    Ok(Json(engines.kpi.set_corridor(&ctx, &name, low, high, guards.as_ref(), weight).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    #[serde(with = "crate::exact")]
    value: Decimal,
    at_us: i64,
}

async fn record(
    State(engines): State<Engines>,
    ctx: Ctx,
    Path(name): Path<KpiName>,
    Json(body): Json<Record>,
) -> Answer<Reading> {
    Ok(Json(engines.kpi.record(&ctx, &name, body.value, body.at_us).await?))
}

async fn latest(State(engines): State<Engines>, ctx: Ctx, Path(name): Path<KpiName>) -> Answer<Reading> {
    Ok(Json(engines.kpi.latest(&ctx, &name).await?))
}
