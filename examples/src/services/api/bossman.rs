//! `/v1/bossman`: the tenant's own dashboard as JSON.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::State;
use dataset_events::{Outcome, RequestId, TraceId, UserId};
use dataset_events_service::{Ctx, Json, Path, Query, Route, RouteTable};
use serde::Deserialize;

use super::Answer;
use crate::engines::bossman::{BossmanError, EventFilter, EventPage, Overview, PageRequest, Trace, Window};
use crate::services::gateway::Gateway;

pub(in crate::services) fn routes() -> RouteTable<Gateway> {
    RouteTable::new()
        .route(Route::get("/v1/bossman/overview", overview).errors::<BossmanError>())
        .route(Route::get("/v1/bossman/events", events).errors::<BossmanError>())
        .route(Route::get("/v1/bossman/traces/{trace_id}", trace).errors::<BossmanError>())
}

/// The last so many hours.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hours {
    #[serde(default = "day")]
    hours: u32,
}

fn day() -> u32 {
    24
}

async fn overview(State(gateway): State<Gateway>, ctx: Ctx, Query(query): Query<Hours>) -> Answer<Overview> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    let window = Window::hours_until(i64::try_from(now).unwrap_or(i64::MAX), query.hours);
    Ok(Json(gateway.bossman.overview(&ctx, window).await?))
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
}

fn fifty() -> u32 {
    50
}

async fn events(State(gateway): State<Gateway>, ctx: Ctx, Query(asked): Query<Asked>) -> Answer<EventPage> {
    let Asked { surface, outcome, code, user_id, request_id, trace_id, since_us, until_us, limit, after } =
        asked;
    let filter = EventFilter { surface, outcome, code, user_id, request_id, trace_id, since_us, until_us };
    Ok(Json(gateway.bossman.events(&ctx, &filter, &PageRequest { limit, after }).await?))
}

async fn trace(State(gateway): State<Gateway>, ctx: Ctx, Path(trace_id): Path<TraceId>) -> Answer<Trace> {
    Ok(Json(gateway.bossman.trace(&ctx, trace_id).await?))
}
