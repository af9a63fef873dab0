//! The routes that everybody reaches: the style, the script, signing in and out.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing::{get, post};
use http::{HeaderValue, header};
use serde::Deserialize;

use super::error::DashboardError;
use super::listed::{self, Caller, Listed};
use super::routes::{Answer, Shared, see_other, shown};
use super::views::{continue_page, sign_in_page};
use super::{Inner, session, site};
use crate::extract::Query;

/// What everybody reaches: the style, the script, signing in and out.
pub(super) fn open() -> Router<Arc<Inner>> {
    listed::router(listed())
}

pub(super) fn listed() -> Vec<Listed> {
    let open = |method, path, handler, codes| {
        Listed::new(method, path, handler, codes).caller(Caller::Everybody).unrecorded()
    };
    vec![
        open("GET", "/assets/{file}", get(asset), &[]),
        open("GET", "/sign-in", get(sign_in_by_link), &["dashboard.cross_site", "dashboard.invalid_token"]),
        open(
            "POST",
            "/sign-in",
            post(sign_in),
            &["dashboard.cross_site", "dashboard.invalid_form", "dashboard.invalid_token"],
        ),
        open("POST", "/sign-out", post(sign_out), &["dashboard.cross_site"]),
    ]
}

async fn asset(Path(file): Path<String>) -> Response {
    site::asset(&file)
}

#[derive(Deserialize)]
struct SignIn {
    token: String,
    next: Option<String>,
}

/// The bound of a form: a token, and where to go.
const MAX_FORM_BYTES: usize = 16 * 1024;

async fn sign_in(State(inner): Shared, request: Request) -> Answer<Response> {
    let (parts, body) = request.into_parts();
    if !session::is_same_origin(&parts) {
        return Err(DashboardError::CrossSite.into());
    }
    let body = axum::body::to_bytes(body, MAX_FORM_BYTES).await.map_err(|_| DashboardError::InvalidForm)?;
    let form: SignIn = axum::extract::Query::try_from_uri(&form_uri(&body)?)
        .map_err(|_| DashboardError::InvalidForm)
        .map(|axum::extract::Query(form)| form)?;
    let next = form.next.as_deref().and_then(|next| session::safe_path(next, &inner.site.base));
    let answer = see_other(next.unwrap_or(&inner.site.href("/")))?;
    with_session(&inner, &parts, form.token.trim(), answer)
}

/// A form has the form of a query.
fn form_uri(body: &[u8]) -> Result<http::Uri, DashboardError> {
    let form = std::str::from_utf8(body).map_err(|_| DashboardError::InvalidForm)?;
    format!("/?{form}").parse().map_err(|_| DashboardError::InvalidForm)
}

fn with_session(
    inner: &Inner,
    parts: &http::request::Parts,
    token: &str,
    mut answer: Response,
) -> Answer<Response> {
    if !session::is_token(token) {
        return Err(DashboardError::InvalidToken.into());
    }
    let cookie = session::cookie(token, &inner.site.base, inner.is_secure(&parts.headers));
    answer.headers_mut().insert(header::SET_COOKIE, cookie.ok_or(DashboardError::InvalidToken)?);
    Ok(answer)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Link {
    token: Option<String>,
}

async fn sign_in_by_link(
    State(inner): Shared,
    Query(link): Query<Link>,
    request: Request,
) -> Answer<Response> {
    let (parts, _) = request.into_parts();
    let Some(token) = link.token else {
        return Ok(shown(sign_in_page(&inner.site, None, false, None)));
    };
    let fetch = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    // A picture or a script of another site must not change who is signed in.
    if fetch("sec-fetch-dest").is_some_and(|dest| dest != "document") {
        return Err(DashboardError::CrossSite.into());
    }
    let is_cross_site = fetch("sec-fetch-site").is_some_and(|site| site == "cross-site");
    let answer =
        if is_cross_site { shown(continue_page(&inner.site)) } else { see_other(&inner.site.href("/"))? };
    let mut answer = with_session(&inner, &parts, &token, answer)?;
    // The address holds the token: it must not go on to anybody.
    answer.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(answer)
}

async fn sign_out(State(inner): Shared, request: Request) -> Answer<Response> {
    let (parts, _) = request.into_parts();
    if !session::is_same_origin(&parts) {
        return Err(DashboardError::CrossSite.into());
    }
    let mut answer = see_other(&inner.site.href("/sign-in"))?;
    if let Some(cookie) = session::cookie("", &inner.site.base, inner.is_secure(&parts.headers)) {
        answer.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    Ok(answer)
}
