//! Pages without a scope: to sign in, and to say what went wrong.

use http::StatusCode;
use maud::{Markup, html};

use crate::dashboard::format;
use crate::dashboard::html::{bare_page, text};
use crate::dashboard::site::Site;
use crate::envelope::ApiError;

/// What is said to somebody who has no session, by the code of the refusal.
fn reason(code: Option<&str>, had_session: bool) -> Option<&'static str> {
    match code? {
        "auth.missing_credentials" => None,
        "auth.token_expired" => Some("Your session has expired. Sign in again with a new token."),
        "auth.token_not_yet_valid" => {
            Some("The token is not valid yet. Wait, or check the clock of who made it.")
        }
        "auth.wrong_audience" | "auth.wrong_issuer" => Some("The token was made for another service."),
        _ if had_session => Some("The token was not accepted. Sign in again with another one."),
        _ => Some("The credentials were not accepted."),
    }
}

pub(in crate::dashboard) fn sign_in_page(
    site: &Site,
    code: Option<&str>,
    had_session: bool,
    back: Option<&str>,
) -> Markup {
    let body = html! {
        @if let Some(reason) = reason(code, had_session) { p.notice.warning role="alert" { (reason) } }
        p { "Each tenant sees its own ledger. Paste the token that you were given, or open your sign-in link." }
        form.sign-in method="post" action=(site.href("/sign-in")) {
            @if let Some(back) = back { input type="hidden" name="next" value=(back); }
            div.field {
                label for="token" { "Token" }
                input id="token" name="token" type="password" required autocomplete="off" spellcheck="false" autofocus;
            }
            button type="submit" { "Sign in" }
        }
        p.lead { "The token stays in a cookie of this browser until it expires or you sign out." }
    };
    bare_page(site, "Sign in", None, body)
}

/// Shown where a link of another site led to signing in: browsers send no strict cookie along with that.
pub(in crate::dashboard) fn continue_page(site: &Site) -> Markup {
    let body = html! {
        p { "You are signed in. If you did not open this link yourself, sign out." }
        p { a.button href=(site.href("/")) { "Continue to the dashboard" } }
        form method="post" action=(site.href("/sign-out")) { button.quiet type="submit" { "Sign out" } }
    };
    bare_page(site, "Signed in", None, body)
}

pub(in crate::dashboard) fn failure_page(
    site: &Site,
    status: StatusCode,
    error: Option<&ApiError>,
    request_id: Option<&str>,
) -> Markup {
    let code = error.map(ApiError::code).unwrap_or_default();
    if code == "dashboard.still_reading" {
        let body = html! {
            div.progress aria-hidden="true" {}
            p role="status" data-again="3" { "The events of this scope are being read for the first time. The page comes by itself." }
            p { a.button.quiet href="" { "Look again" } }
        };
        return bare_page(site, "Reading the ledger", Some(3), body);
    }
    let (title, hint) = match status.as_u16() {
        404 => (
            "Not found",
            "There is nothing here, or not in this scope. The address may be cut, or of another tenant.",
        ),
        403 => ("Not allowed", "Your token is not good for this page."),
        400 => ("Not understood", "A filter or an address is not of the expected form."),
        405 => ("Not possible", "The page cannot be asked in this way."),
        429 => ("Too many requests", "Wait a moment, then load the page again."),
        500.. => (
            "Something failed",
            "The page could not be made. Load it again; if it stays, give the request's id to who runs the service.",
        ),
        _ => ("Not possible", "The page cannot be shown."),
    };
    let body = html! {
        p { (hint) }
        // What is not there is said above; of the others the message says which part it is about.
        @if let Some(error) = error.filter(|_| status.is_client_error() && status != StatusCode::NOT_FOUND) {
            p.lead { (text(&format::sentence(error.message()))) }
        }
        dl.facts {
            div { dt { "Status" } dd { (status.as_u16()) } }
            @if !code.is_empty() { div { dt { "Code" } dd { (text(code)) } } }
            @if let Some(request_id) = request_id { div { dt { "Request" } dd { (text(request_id)) } } }
        }
        p { a.button href=(site.href("/")) { "To the overview" } }
    };
    bare_page(site, title, None, body)
}
