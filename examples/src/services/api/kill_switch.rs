//! `/v1/kill-switches`: engage, release, ask.

use axum::extract::State;
use dataset_events_service::{Ctx, Json, Path, Route, RouteTable};
use serde::{Deserialize, Serialize};

use super::Answer;
use crate::engines::kill_switch::{Change, KillSwitchError, Reason, Switch};
use crate::engines::{Engines, Target};

pub(in crate::services) fn routes() -> RouteTable<Engines> {
    RouteTable::new()
        .route(Route::put("/v1/kill-switches/{target}", update).errors::<KillSwitchError>())
        .route(Route::get("/v1/kill-switches/{target}", check).errors::<KillSwitchError>())
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum What {
    Engage,
    Release,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Update {
    change: What,
    reason: Reason,
    expected_version: Option<u64>,
}

async fn update(
    State(engines): State<Engines>,
    ctx: Ctx,
    Path(target): Path<Target>,
    Json(body): Json<Update>,
) -> Answer<Switch> {
    let change = match body.change {
        What::Engage => Change::Engage(body.reason),
        What::Release => Change::Release(body.reason),
    };
    Ok(Json(engines.kill_switch.update(&ctx, &target, change, body.expected_version).await?))
}

/// The answer of a check that nothing forbids.
#[derive(Serialize)]
struct MayAct {
    may_act: bool,
}

async fn check(State(engines): State<Engines>, ctx: Ctx, Path(target): Path<Target>) -> Answer<MayAct> {
    engines.kill_switch.check(&ctx, &target).await?;
    Ok(Json(MayAct { may_act: true }))
}
