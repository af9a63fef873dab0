//! `/v1/bossman`: the tenant's own dashboard as JSON.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::State;
use dataset_events::{Outcome, RequestId, TraceId, UserId};
use dataset_events_service::{Ctx, Json, Path, Query, Route, RouteTable};
use serde::Deserialize;

use super::Answer;
use crate::engines::Bossman;
use crate::engines::bossman::{
    Activities, BossmanError, EventFilter, EventPage, LedgersView, Overview, PageRequest, Shown, Trace,
    Window,
};
use crate::read_models::{BudgetView, ControlsView, KpisView, TemperatureView};
use crate::services::gateway::Gateway;

pub(in crate::services) fn routes() -> RouteTable<Gateway> {
    RouteTable::new()
        .route(Route::get("/v1/bossman/overview", overview).errors::<BossmanError>())
        .route(Route::get("/v1/bossman/budget", budget).errors::<BossmanError>())
        .route(Route::get("/v1/bossman/temperature", temperature).errors::<BossmanError>())
        .route(Route::get("/v1/bossman/kpi", kpi).errors::<BossmanError>())
        .route(Route::get("/v1/bossman/controls", controls).errors::<BossmanError>())
        .route(Route::get("/v1/bossman/activity", activity).errors::<BossmanError>())
        .route(Route::get("/v1/bossman/ledgers", ledgers).errors::<BossmanError>())
        .route(Route::get("/v1/bossman/events", events).errors::<BossmanError>())
        .route(Route::get("/v1/bossman/traces/{trace_id}", trace).errors::<BossmanError>())
}

/// The last so many hours. Everywhere `complete` refuses an answer that lacks a ledger.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hours {
    #[serde(default = "day")]
    hours: u32,
    #[serde(default)]
    complete: bool,
}

fn day() -> u32 {
    24
}

/// The last so many hours, and how much of each list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HoursAndLimit {
    #[serde(default = "day")]
    hours: u32,
    #[serde(default = "fifty")]
    limit: u32,
    #[serde(default)]
    complete: bool,
}

/// A month, `YYYY-MM`, and the last so many hours.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MonthAndHours {
    month: Option<String>,
    #[serde(default = "day")]
    hours: u32,
    #[serde(default)]
    complete: bool,
}

/// How much of each list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Limit {
    #[serde(default = "fifty")]
    limit: u32,
    #[serde(default)]
    complete: bool,
}

impl Gateway {
    /// The bossman, which refuses an answer that lacks a ledger or says what it lacks.
    fn bossman(&self, is_complete: bool) -> Bossman {
        self.bossman.clone().refusing_parts(is_complete)
    }
}

fn last(hours: u32) -> Window {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    Window::hours_until(i64::try_from(now).unwrap_or(i64::MAX), hours)
}

async fn overview(State(gateway): State<Gateway>, ctx: Ctx, Query(query): Query<Hours>) -> Answer<Overview> {
    Ok(Json(gateway.bossman(query.complete).overview(&ctx, last(query.hours)).await?))
}

async fn budget(
    State(gateway): State<Gateway>,
    ctx: Ctx,
    Query(query): Query<MonthAndHours>,
) -> Answer<Shown<BudgetView>> {
    Ok(Json(gateway.bossman(query.complete).budget(&ctx, query.month.as_deref(), last(query.hours)).await?))
}

async fn temperature(
    State(gateway): State<Gateway>,
    ctx: Ctx,
    Query(query): Query<HoursAndLimit>,
) -> Answer<Shown<TemperatureView>> {
    Ok(Json(gateway.bossman(query.complete).temperature(&ctx, last(query.hours), query.limit).await?))
}

async fn kpi(
    State(gateway): State<Gateway>,
    ctx: Ctx,
    Query(query): Query<Limit>,
) -> Answer<Shown<KpisView>> {
    Ok(Json(gateway.bossman(query.complete).kpi(&ctx, query.limit).await?))
}

async fn controls(
    State(gateway): State<Gateway>,
    ctx: Ctx,
    Query(query): Query<Limit>,
) -> Answer<Shown<ControlsView>> {
    Ok(Json(gateway.bossman(query.complete).controls(&ctx, query.limit).await?))
}

async fn activity(
    State(gateway): State<Gateway>,
    ctx: Ctx,
    Query(query): Query<HoursAndLimit>,
) -> Answer<Shown<Activities>> {
    Ok(Json(gateway.bossman(query.complete).activity(&ctx, last(query.hours), query.limit).await?))
}

async fn ledgers(
    State(gateway): State<Gateway>,
    ctx: Ctx,
    Query(query): Query<Limit>,
) -> Answer<Shown<LedgersView>> {
    Ok(Json(gateway.bossman(query.complete).ledgers(&ctx, query.limit).await?))
}

/// The filter and the page in one query; written out because a query has no nested values.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    surface: Option<String>,
    outcome: Option<Outcome>,
    code: Option<String>,
    user_id: Option<UserId>,
    request_id: Option<RequestId>,
    trace_id: Option<TraceId>,
    since_us: Option<i64>,
    until_us: Option<i64>,
    #[serde(default = "fifty")]
    limit: u32,
    after: Option<String>,
    #[serde(default)]
    complete: bool,
}

fn fifty() -> u32 {
    50
}

async fn events(State(gateway): State<Gateway>, ctx: Ctx, Query(asked): Query<Asked>) -> Answer<EventPage> {
    let Asked {
        surface,
        outcome,
        code,
        user_id,
        request_id,
        trace_id,
        since_us,
        until_us,
        limit,
        after,
        complete,
    } = asked;
    let filter = EventFilter { surface, outcome, code, user_id, request_id, trace_id, since_us, until_us };
    Ok(Json(gateway.bossman(complete).events(&ctx, &filter, &PageRequest { limit, after }).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Complete {
    #[serde(default)]
    complete: bool,
}

async fn trace(
    State(gateway): State<Gateway>,
    ctx: Ctx,
    Path(trace_id): Path<TraceId>,
    Query(query): Query<Complete>,
) -> Answer<Trace> {
    Ok(Json(gateway.bossman(query.complete).trace(&ctx, trace_id).await?))
}
