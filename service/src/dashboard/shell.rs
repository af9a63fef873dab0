//! The outermost layer: cookies become credentials, failures become pages, every answer gets its headers.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::{OriginalUri, Request};
use axum::response::Response;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use tower::Service;

use super::session;
use super::site::Site;
use super::views::{failure_page, sign_in_page};
use crate::envelope;
use crate::identity::BoxFuture;
use crate::trace_context::X_REQUEST_ID;

/// A tower layer around the admission layer of a service that has the dashboard among its routes.
///
/// Of requests below the dashboard's base it makes the session's cookie an `Authorization` header; of their
/// failures it makes pages, those of the API aside; and it sets the security headers. Other requests pass
/// untouched. [`Dashboard::mount`](super::Dashboard::mount) brings it along.
#[derive(Clone)]
pub struct DashboardShell {
    inner: Arc<Shell>,
}

struct Shell {
    site: Site,
    /// Whether it stands around a whole service, whose other paths are none of its business.
    is_around: bool,
    secure_cookie: Option<bool>,
}

const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; \
    connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

impl DashboardShell {
    pub(super) fn new(site: Site, is_around: bool, secure_cookie: Option<bool>) -> Self {
        Self { inner: Arc::new(Shell { site, is_around, secure_cookie }) }
    }
}

impl fmt::Debug for DashboardShell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DashboardShell").field("base", &self.inner.site.base).finish_non_exhaustive()
    }
}

impl<S> tower::Layer<S> for DashboardShell {
    type Service = DashboardShellService<S>;

    fn layer(&self, inner: S) -> DashboardShellService<S> {
        DashboardShellService { shell: Arc::clone(&self.inner), inner }
    }
}

/// A service inside a [`DashboardShell`].
#[derive(Clone)]
pub struct DashboardShellService<S> {
    shell: Arc<Shell>,
    inner: S,
}

impl<S> fmt::Debug for DashboardShellService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DashboardShellService").finish_non_exhaustive()
    }
}

/// Where an address with a slash behind the base leads: to the same page without it.
fn without_slash(base: &str, query: Option<&str>) -> Option<Response> {
    let address = query.map_or_else(|| base.to_owned(), |query| format!("{base}?{query}"));
    let location = HeaderValue::from_str(&address).ok()?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    response.headers_mut().insert(header::LOCATION, location);
    Some(response)
}

/// What is known of a request when its answer comes.
struct Asked {
    /// Below the base, with a leading slash.
    path: String,
    /// Where the browser is, to come back to.
    whole: String,
    is_get: bool,
    had_session: bool,
    is_secure: bool,
}

impl Shell {
    fn asked(&self, request: &Request) -> Option<Asked> {
        let original =
            request.extensions().get::<OriginalUri>().map_or(request.uri(), |original| &original.0);
        let whole = original.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let path = if self.is_around {
            let rest = original.path().strip_prefix(&self.site.base)?;
            if !rest.is_empty() && !rest.starts_with('/') {
                return None;
            }
            rest.to_owned()
        } else {
            request.uri().path().to_owned()
        };
        let is_secure = self.secure_cookie.unwrap_or_else(|| !session::is_loopback(request.headers()));
        let is_get = request.method() == Method::GET;
        Some(Asked { path, whole, is_get, had_session: false, is_secure })
    }

    fn finish(&self, asked: &Asked, response: Response) -> Response {
        let is_asset = asked.path.starts_with("/assets/") && response.status() == StatusCode::OK;
        let is_api = asked.path.starts_with("/api/")
            || asked.path.contains("/api/") && asked.path.starts_with("/operator/scopes/");
        let is_failure = response.status().is_client_error() || response.status().is_server_error();
        let is_unauthenticated = response.status() == StatusCode::UNAUTHORIZED;
        let mut response = if is_failure && !is_api { self.page_of(asked, response) } else { response };
        let headers = response.headers_mut();
        if is_unauthenticated
            && asked.had_session
            && let Some(cookie) = session::cookie("", &self.site.base, asked.is_secure)
        {
            headers.append(header::SET_COOKIE, cookie);
        }
        let mut set = |name: HeaderName, value: &'static str| {
            headers.entry(name).or_insert(HeaderValue::from_static(value));
        };
        set(header::CONTENT_SECURITY_POLICY, POLICY);
        set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
        set(header::X_FRAME_OPTIONS, "DENY");
        // Not `no-referrer`: then a form's `Origin` would be `null`.
        set(header::REFERRER_POLICY, "same-origin");
        set(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
        set(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
        set(header::CACHE_CONTROL, if is_asset { "public, max-age=31536000, immutable" } else { "no-store" });
        response
    }

    /// The page in place of an envelope, with the same status and headers.
    fn page_of(&self, asked: &Asked, response: Response) -> Response {
        let status = response.status();
        let error = envelope::failure_of(&response);
        let request_id = response.headers().get(X_REQUEST_ID).and_then(|id| id.to_str().ok());
        let page = if status == StatusCode::UNAUTHORIZED {
            let back = asked.is_get.then_some(asked.whole.as_str());
            let back = back.and_then(|path| session::safe_path(path, &self.site.base));
            sign_in_page(&self.site, error.as_ref().map(|error| error.code()), asked.had_session, back)
        } else {
            failure_page(&self.site, status, error.as_deref(), request_id)
        };
        let (mut parts, _) = response.into_parts();
        for name in [header::CONTENT_LENGTH, header::WWW_AUTHENTICATE] {
            parts.headers.remove(name);
        }
        parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        Response::from_parts(parts, Body::from(page.into_string()))
    }
}

impl<S> Service<Request> for DashboardShellService<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let Some(mut asked) = self.shell.asked(&request) else { return Box::pin(self.inner.call(request)) };
        if self.shell.is_around
            && !self.shell.site.base.is_empty()
            && asked.path == "/"
            && let Some(response) = without_slash(&self.shell.site.base, request.uri().query())
        {
            let response = self.shell.finish(&asked, response);
            return Box::pin(async move { Ok(response) });
        }
        asked.had_session = session::authorize(&mut request);
        let shell = Arc::clone(&self.shell);
        let answer = self.inner.call(request);
        Box::pin(async move {
            let Ok(response) = answer.await;
            Ok(shell.finish(&asked, response))
        })
    }
}
