//! `/v1/strategy-locks`: propose, approve, withdraw, release, list.

use axum::extract::State;
use dataset_events_service::{Ctx, Json, Path, Query, Route, RouteTable};
use serde::Deserialize;

use super::Answer;
use crate::engines::strategy_lock::{Lock, LockId, LockState, StrategyLockError, StrategyName};
use crate::engines::{ActionPattern, Engines};

pub(in crate::services) fn routes() -> RouteTable<Engines> {
    RouteTable::new()
        .route(Route::post("/v1/strategy-locks", propose).errors::<StrategyLockError>())
        .route(Route::get("/v1/strategy-locks", list).errors::<StrategyLockError>())
        .route(Route::post("/v1/strategy-locks/{lock_id}/approve", approve).errors::<StrategyLockError>())
        .route(Route::post("/v1/strategy-locks/{lock_id}/withdraw", withdraw).errors::<StrategyLockError>())
        .route(Route::post("/v1/strategy-locks/{lock_id}/release", release).errors::<StrategyLockError>())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Propose {
    strategy: StrategyName,
    pattern: ActionPattern,
    reason: String,
}

async fn propose(State(engines): State<Engines>, ctx: Ctx, Json(body): Json<Propose>) -> Answer<Lock> {
    let Propose { strategy, pattern, reason } = body;
    Ok(Json(engines.strategy_lock.propose(&ctx, &strategy, &pattern, &reason).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ByState {
    state: LockState,
    after: Option<LockId>,
    #[serde(default = "fifty")]
    limit: u32,
}

fn fifty() -> u32 {
    50
}

async fn list(State(engines): State<Engines>, ctx: Ctx, Query(query): Query<ByState>) -> Answer<Vec<Lock>> {
    let ByState { state, after, limit } = query;
    Ok(Json(engines.strategy_lock.list(&ctx, state, after.as_ref(), limit).await?))
}

/// The version that the caller has seen.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Seen {
    expected_version: u64,
}

async fn approve(
    State(engines): State<Engines>,
    ctx: Ctx,
    Path(lock_id): Path<LockId>,
    Json(seen): Json<Seen>,
) -> Answer<Lock> {
    Ok(Json(engines.strategy_lock.approve(&ctx, &lock_id, seen.expected_version).await?))
}

async fn withdraw(
    State(engines): State<Engines>,
    ctx: Ctx,
    Path(lock_id): Path<LockId>,
    Json(seen): Json<Seen>,
) -> Answer<Lock> {
    Ok(Json(engines.strategy_lock.withdraw(&ctx, &lock_id, seen.expected_version).await?))
}

async fn release(
    State(engines): State<Engines>,
    ctx: Ctx,
    Path(lock_id): Path<LockId>,
    Json(seen): Json<Seen>,
) -> Answer<Lock> {
    Ok(Json(engines.strategy_lock.release(&ctx, &lock_id, seen.expected_version).await?))
}
