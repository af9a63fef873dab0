//! `/v1/budget`: policy, usage, summary.

use axum::extract::State;
use dataset_events_service::{Ctx, Json, Route, RouteTable};
use rust_decimal::Decimal;
use serde::Deserialize;

use super::Answer;
use crate::engines::Engines;
use crate::engines::budget::{BudgetError, Currency, Policy, Receipt, Summary, Usage};

pub(in crate::services) fn routes() -> RouteTable<Engines> {
    RouteTable::new()
        .route(Route::put("/v1/budget/policy", set_policy).errors::<BudgetError>())
        .route(Route::post("/v1/budget/usage", record_usage).errors::<BudgetError>())
        .route(Route::get("/v1/budget/summary", summary).errors::<BudgetError>())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetPolicy {
    #[serde(with = "crate::exact")]
    limit: Decimal,
    currency: Currency,
}

async fn set_policy(State(engines): State<Engines>, ctx: Ctx, Json(body): Json<SetPolicy>) -> Answer<Policy> {
    Ok(Json(engines.budget.set_policy(&ctx, body.limit, body.currency).await?))
}

async fn record_usage(State(engines): State<Engines>, ctx: Ctx, Json(usage): Json<Usage>) -> Answer<Receipt> {
    Ok(Json(engines.budget.record_usage(&ctx, &usage).await?))
}

async fn summary(State(engines): State<Engines>, ctx: Ctx) -> Answer<Summary> {
    Ok(Json(engines.budget.summary(&ctx).await?))
}
