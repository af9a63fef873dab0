//! `/v1/gate`: what a service in front of the engines asks before a guarded action. Not for clients.

use axum::extract::State;
use dataset_events_service::{Ctx, Json, Route, RouteTable};

use super::Answer;
use crate::engines::Engines;
use crate::engines::gate::{Action, GateError, Passed};

/// Where the gate is asked.
pub(in crate::services) const PASS: &str = "/v1/gate/pass";

pub(in crate::services) fn routes() -> RouteTable<Engines> {
    RouteTable::new().route(Route::post(PASS, pass).errors::<GateError>())
}

async fn pass(State(engines): State<Engines>, ctx: Ctx, Json(action): Json<Action>) -> Answer<Passed> {
    Ok(Json(engines.gate.pass(&ctx, &action).await?))
}
