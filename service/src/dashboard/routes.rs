//! The routes that need an identity: each page, and the same as JSON.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing;
use http::{HeaderValue, StatusCode, header};
use maud::Markup;
use serde::{Deserialize, Serialize};

use super::audit::{Filters, Rows, audited};
use super::desk::Desk;
use super::error::DashboardError;
use super::html::{self, Nav, Page};
use super::listed::{self, Caller, Listed};
use super::panel::{self, PanelAnswer};
use super::viewer::{Viewer, now_us};
use super::views::{
    Coverage, EventList, EventView, EventsQuery, Heading, Health, Overview, ScopeList, TraceView,
    coverage_page, event_page, events_page, health_page, operator_page, overview_page, read_event,
    trace_page, verify,
};
use super::window::{WindowQuery, name_of};
use super::{Inner, open_routes, session};
use crate::envelope::ApiError;
use crate::extract::{Json, Query};

pub(super) type Shared = State<Arc<Inner>>;
pub(super) type Answer<T> = Result<T, ApiError>;
type Params = Path<HashMap<String, String>>;

const READ: [&str; 3] = ["dashboard.failed", "dashboard.still_reading", "dashboard.unreadable"];
/// What reading can fail with, and a filter or a window that is none.
const FILTERED: &[&str] = &["dashboard.invalid_filter", READ[0], READ[1], READ[2]];
/// What reading can fail with, and what is named is not there.
const NAMED: &[&str] = &["dashboard.not_found", READ[0], READ[1], READ[2]];
const PANEL: &[&str] = &["dashboard.invalid_filter", "dashboard.not_found", READ[0], READ[1], READ[2]];

/// The pages of a scope and their JSON.
pub(super) fn of_a_scope() -> Vec<Listed> {
    let get = |path, handler, codes| Listed::new("GET", path, handler, codes);
    vec![
        get("/", routing::get(overview), FILTERED),
        get("/events", routing::get(events), FILTERED),
        get("/events/{event}", routing::get(event), NAMED),
        get("/traces/{trace_id}", routing::get(trace), NAMED),
        get("/coverage", routing::get(coverage), &READ),
        get("/health", routing::get(health), &READ),
        Listed::new("POST", "/health/verify", routing::post(verify_now), &["dashboard.cross_site"]),
        get("/panels/{panel}", routing::get(panel_page), PANEL),
        get("/api/overview", routing::get(api_overview), FILTERED),
        get("/api/events", routing::get(api_events), FILTERED),
        get("/api/events/{event}", routing::get(api_event), NAMED),
        get("/api/traces/{trace_id}", routing::get(api_trace), NAMED),
        get("/api/coverage", routing::get(api_coverage), &READ),
        get("/api/health", routing::get(api_health), &READ),
        get("/api/panels/{panel}", routing::get(api_panel), PANEL),
    ]
}

/// What is for operators beside the pages of each scope.
pub(super) fn of_operators() -> Vec<Listed> {
    let codes = &["dashboard.operator_only", "dashboard.unrecorded", READ[0], READ[1], READ[2]];
    vec![Listed::new("GET", "/operator", routing::get(operator), codes).caller(Caller::Operator)]
}

/// Where the pages of a scope are once more, for operators.
const VISITED: &str = "/operator/scopes/{tenant}/{env}";

/// The whole list as Markdown, mounted at a base path.
pub(super) fn markdown(base: &str) -> String {
    let routes: Vec<Listed> =
        of_a_scope().into_iter().chain(of_operators()).chain(open_routes::listed()).collect();
    format!(
        "{}\nAll of the scope's routes are once more below `{base}{VISITED}`, for operators; to others nothing is \
         there (`dashboard.not_found` 404).\n",
        listed::markdown(base, &routes)
    )
}

/// Everything that needs an identity: what is not there too, since a fallback is lost when routers are nested.
pub(super) fn admitted() -> Router<Arc<Inner>> {
    listed::router(of_a_scope())
        .merge(listed::router(of_operators()))
        .nest(VISITED, listed::router(of_a_scope()))
        .route("/{*rest}", routing::any(nothing))
}

pub(super) fn shown(page: Markup) -> Response {
    let media_type = HeaderValue::from_static("text/html; charset=utf-8");
    ([(header::CONTENT_TYPE, media_type)], Body::from(page.into_string())).into_response()
}

fn param<'a>(params: &'a HashMap<String, String>, name: &str) -> &'a str {
    params.get(name).map(String::as_str).unwrap_or_default()
}

async fn read_overview(
    inner: &Arc<Inner>,
    viewer: &Viewer,
    query: &WindowQuery,
) -> Result<(Arc<Overview>, bool), DashboardError> {
    let filters = Filters::default().with_some("window", query.window().ok().map(name_of));
    let reading = async {
        let window = query.window()?;
        let desk = viewer.desk(inner);
        let read = inner.desks.read_models(&desk, move |desk| {
            let overview = Arc::new(Overview::read(&desk.models, window, now_us())?);
            desk.keep(window, &overview);
            Ok(overview)
        });
        let (answer, is_stale) = match read.await {
            Ok(overview) => (overview, false),
            Err(DashboardError::StillReading) => {
                let kept = desk.kept(window, inner.desks.options().max_stale);
                (kept.ok_or(DashboardError::StillReading)?, true)
            }
            Err(error) => return Err(error),
        };
        Ok(Rows { rows: answer.events_read, answer: (answer, is_stale) })
    };
    Ok(audited(&viewer.ctx, "overview", viewer.scope(), &filters, reading).await?.answer)
}

async fn overview(
    State(inner): Shared,
    viewer: Viewer,
    Query(query): Query<WindowQuery>,
) -> Answer<Response> {
    let (overview, is_stale) = read_overview(&inner, &viewer, &query).await?;
    let frame = viewer.frame(&inner, now_us());
    Ok(shown(overview_page(&frame, &overview, query.window()?, is_stale)))
}

async fn api_overview(
    State(inner): Shared,
    viewer: Viewer,
    Query(query): Query<WindowQuery>,
) -> Answer<Response> {
    let (overview, _) = read_overview(&inner, &viewer, &query).await?;
    Ok(Json(&*overview).into_response())
}

async fn read_events(
    inner: &Arc<Inner>,
    viewer: &Viewer,
    query: &EventsQuery,
) -> Result<EventList, DashboardError> {
    let (reader, wanted) = (viewer.reader.clone(), query.clone());
    let reading = async {
        let answer = inner.desks.query(move || wanted.read(&reader, now_us())).await?;
        Ok(Rows { rows: answer.events.len() as u64, answer })
    };
    Ok(audited(&viewer.ctx, "events", viewer.scope(), &query.filters(), reading).await?.answer)
}

async fn events(State(inner): Shared, viewer: Viewer, Query(query): Query<EventsQuery>) -> Answer<Response> {
    let list = read_events(&inner, &viewer, &query).await?;
    Ok(shown(events_page(&viewer.frame(&inner, now_us()), &query, &list)))
}

async fn api_events(
    State(inner): Shared,
    viewer: Viewer,
    Query(query): Query<EventsQuery>,
) -> Answer<Json<EventList>> {
    Ok(Json(read_events(&inner, &viewer, &query).await?))
}

async fn one_event(
    inner: &Arc<Inner>,
    viewer: &Viewer,
    params: &HashMap<String, String>,
) -> Result<EventView, DashboardError> {
    let (reader, named) = (viewer.reader.clone(), param(params, "event").to_owned());
    let filters = Filters::default().with("event", &named);
    let reading = async {
        let answer = inner.desks.query(move || read_event(&reader, &named, now_us())).await?;
        Ok(Rows { rows: 1, answer })
    };
    Ok(audited(&viewer.ctx, "event", viewer.scope(), &filters, reading).await?.answer)
}

async fn event(State(inner): Shared, viewer: Viewer, Path(params): Params) -> Answer<Response> {
    let view = one_event(&inner, &viewer, &params).await?;
    Ok(shown(event_page(&viewer.frame(&inner, now_us()), &view)))
}

async fn api_event(State(inner): Shared, viewer: Viewer, Path(params): Params) -> Answer<Json<EventView>> {
    Ok(Json(one_event(&inner, &viewer, &params).await?))
}

async fn read_trace(
    inner: &Arc<Inner>,
    viewer: &Viewer,
    params: &HashMap<String, String>,
) -> Result<TraceView, DashboardError> {
    let (reader, named) = (viewer.reader.clone(), param(params, "trace_id").to_owned());
    let filters = Filters::default().with("trace", &named);
    let reading = async {
        let answer = inner.desks.query(move || TraceView::read(&reader, &named, now_us())).await?;
        Ok(Rows { rows: answer.spans.len() as u64, answer })
    };
    Ok(audited(&viewer.ctx, "trace", viewer.scope(), &filters, reading).await?.answer)
}

async fn trace(State(inner): Shared, viewer: Viewer, Path(params): Params) -> Answer<Response> {
    let view = read_trace(&inner, &viewer, &params).await?;
    Ok(shown(trace_page(&viewer.frame(&inner, now_us()), &view)))
}

async fn api_trace(State(inner): Shared, viewer: Viewer, Path(params): Params) -> Answer<Json<TraceView>> {
    Ok(Json(read_trace(&inner, &viewer, &params).await?))
}

/// Reads what a view is made from at the desk of the viewer's scope, and records the reading.
async fn read_at_desk<T: Send + 'static>(
    inner: &Arc<Inner>,
    viewer: &Viewer,
    view: &str,
    read: impl FnOnce(&Desk) -> Result<T, DashboardError> + Send + 'static,
    rows: impl FnOnce(&T) -> u64,
) -> Result<T, DashboardError> {
    let reading = async {
        let desk = viewer.desk(inner);
        let answer = inner.desks.read_models(&desk, read).await?;
        Ok(Rows { rows: rows(&answer), answer })
    };
    Ok(audited(&viewer.ctx, view, viewer.scope(), &Filters::default(), reading).await?.answer)
}

async fn read_coverage(inner: &Arc<Inner>, viewer: &Viewer) -> Result<Coverage, DashboardError> {
    let read = |desk: &Desk| Coverage::read(&desk.models, now_us());
    read_at_desk(inner, viewer, "coverage", read, |coverage| coverage.events_read).await
}

async fn coverage(State(inner): Shared, viewer: Viewer) -> Answer<Response> {
    let coverage = read_coverage(&inner, &viewer).await?;
    Ok(shown(coverage_page(&viewer.frame(&inner, now_us()), &coverage)))
}

async fn api_coverage(State(inner): Shared, viewer: Viewer) -> Answer<Json<Coverage>> {
    Ok(Json(read_coverage(&inner, &viewer).await?))
}

async fn read_health(inner: &Arc<Inner>, viewer: &Viewer) -> Result<Health, DashboardError> {
    let read = |desk: &Desk| Health::read(desk, now_us());
    read_at_desk(inner, viewer, "health", read, |health| health.events_read).await
}

async fn health(State(inner): Shared, viewer: Viewer) -> Answer<Response> {
    let health = read_health(&inner, &viewer).await?;
    Ok(shown(health_page(&viewer.frame(&inner, now_us()), &health)))
}

async fn api_health(State(inner): Shared, viewer: Viewer) -> Answer<Json<Health>> {
    Ok(Json(read_health(&inner, &viewer).await?))
}

async fn verify_now(State(inner): Shared, viewer: Viewer, request: Request) -> Answer<Response> {
    let (parts, _) = request.into_parts();
    if !session::is_same_origin(&parts) {
        return Err(DashboardError::CrossSite.into());
    }
    let reading = async {
        verify(&inner.desks, &viewer.desk(&inner));
        Ok(Rows { rows: 0, answer: () })
    };
    audited(&viewer.ctx, "verify", viewer.scope(), &Filters::default(), reading).await?;
    see_other(&viewer.href("/health"))
}

/// A panel's answer as JSON.
#[derive(Serialize)]
struct PanelJson {
    #[serde(flatten)]
    heading: Heading,
    panel: String,
    title: String,
    window: &'static str,
    #[serde(flatten)]
    answer: PanelAnswer,
}

async fn read_panel(
    inner: &Arc<Inner>,
    viewer: &Viewer,
    params: &HashMap<String, String>,
    query: &WindowQuery,
) -> Result<(usize, PanelAnswer), DashboardError> {
    let id = param(params, "panel");
    let at = inner.panels.iter().position(|panel| panel.id() == id).ok_or(DashboardError::NotFound)?;
    let filters = Filters::default().with_some("window", query.window().ok().map(name_of));
    let view = format!("panel {id}");
    let reading = async {
        let window = query.window()?;
        let panels = Arc::clone(&inner.panels);
        let desk = viewer.desk(inner);
        let read = inner.desks.read_models(&desk, move |desk| {
            Ok(panel::answer(&*panels[at], &desk.models, window, now_us().saturating_add(1))?)
        });
        let answer = read.await?;
        Ok(Rows { rows: answer.events, answer: (at, answer) })
    };
    Ok(audited(&viewer.ctx, &view, viewer.scope(), &filters, reading).await?.answer)
}

async fn panel_page(
    State(inner): Shared,
    viewer: Viewer,
    Path(params): Params,
    Query(query): Query<WindowQuery>,
) -> Answer<Response> {
    let (at, answer) = read_panel(&inner, &viewer, &params, &query).await?;
    let (panel, frame) = (&inner.panels[at], viewer.frame(&inner, now_us()));
    let path = format!("/panels/{}", panel.id());
    let body = html::blocks(&frame, &answer.blocks);
    let window = query.window()?;
    Ok(shown(html::page(
        &frame,
        Page {
            nav: Nav::Panel(panel.id()),
            title: panel.title(),
            lead: panel.description(),
            window: panel.has_windows().then_some((window, path.as_str())),
            as_of: answer.as_of,
            unread: &answer.unread,
            is_stale: false,
            body,
        },
    )))
}

async fn api_panel(
    State(inner): Shared,
    viewer: Viewer,
    Path(params): Params,
    Query(query): Query<WindowQuery>,
) -> Answer<Response> {
    let (at, answer) = read_panel(&inner, &viewer, &params, &query).await?;
    let panel = &inner.panels[at];
    let json = PanelJson {
        heading: Heading::new(viewer.scope(), now_us()),
        panel: panel.id().to_owned(),
        title: panel.title().to_owned(),
        window: name_of(query.window()?),
        answer,
    };
    Ok(Json(json).into_response())
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ScopeQuery {
    tenant: String,
    env: String,
}

async fn operator(State(inner): Shared, viewer: Viewer, Query(query): Query<ScopeQuery>) -> Answer<Response> {
    if !viewer.is_operator {
        return Err(DashboardError::OperatorOnly.into());
    }
    if !query.tenant.is_empty() {
        // Both come from a form; what is no id leads to a page that is not there.
        let (tenant, env) = (super::format::in_query(&query.tenant), super::format::in_query(&query.env));
        return see_other(&inner.site.href(&format!("/operator/scopes/{tenant}/{env}")));
    }
    let operator = inner.operator(&viewer.ctx, "lists the scopes")?;
    let set = inner.set.clone();
    let reading = async {
        let read = inner.desks.query(move || Ok((operator.scopes(), set.states().ledgers)));
        let (scopes, ledgers) = read.await?;
        let sinks = ledgers.into_iter().flat_map(|ledger| {
            let of_ledger = move |status| (ledger.ledger_id, status);
            ledger.sinks.into_iter().map(of_ledger)
        });
        let answer = ScopeList { scopes: scopes.scopes, sinks: sinks.collect(), unread: scopes.unread };
        Ok(Rows { rows: answer.scopes.len() as u64, answer })
    };
    let list = audited(&viewer.ctx, "scopes", viewer.ctx.scope(), &Filters::default(), reading).await?.answer;
    Ok(shown(operator_page(&viewer.frame(&inner, now_us()), &list)))
}

pub(super) async fn nothing() -> ApiError {
    DashboardError::NotFound.into()
}

pub(super) fn see_other(address: &str) -> Answer<Response> {
    let location = HeaderValue::from_str(address).map_err(|_| DashboardError::NotFound)?;
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response())
}
