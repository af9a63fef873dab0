//! The frame around each page: head, navigation, scope, windows, freshness.

use dataset_events::read_models::Window;
use dataset_events::{Scope, Unread};
use maud::{DOCTYPE, Markup, html};

use super::{relative_time, text};
use crate::dashboard::site::Site;
use crate::dashboard::window::{WINDOWS, title_of};

/// Which entry of the navigation is current.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::dashboard) enum Nav<'a> {
    Overview,
    Events,
    Coverage,
    Health,
    Panel(&'a str),
    Operator,
}

/// What a page needs to know of its surroundings.
pub(in crate::dashboard) struct Frame<'a> {
    pub(in crate::dashboard) site: &'a Site,
    /// What stands before the paths of the scope's pages.
    pub(in crate::dashboard) prefix: &'a str,
    pub(in crate::dashboard) scope: &'a Scope,
    /// Who is signed in.
    pub(in crate::dashboard) who: &'a str,
    pub(in crate::dashboard) is_operator: bool,
    /// An operator looks at a scope by name.
    pub(in crate::dashboard) is_visiting: bool,
    pub(in crate::dashboard) now_us: i64,
}

impl Frame<'_> {
    /// The address of a page of the scope; `path` begins with `/`.
    pub(in crate::dashboard) fn href(&self, path: &str) -> String {
        address(self.prefix, path)
    }
}

/// An address below a prefix, which may be empty; the page at the prefix itself has no slash behind it.
pub(in crate::dashboard) fn address(prefix: &str, path: &str) -> String {
    match (prefix, path.strip_prefix('/')) {
        ("", _) => path.to_owned(),
        (_, Some(rest)) if rest.is_empty() || rest.starts_with('?') => format!("{prefix}{rest}"),
        _ => format!("{prefix}{path}"),
    }
}

/// One page.
pub(in crate::dashboard) struct Page<'a> {
    pub(in crate::dashboard) nav: Nav<'a>,
    pub(in crate::dashboard) title: &'a str,
    pub(in crate::dashboard) lead: &'a str,
    /// The window, with the path that it is chosen for, where the page has windows.
    pub(in crate::dashboard) window: Option<(Window, &'a str)>,
    /// When the newest event that was read was recorded, where the page is folded.
    pub(in crate::dashboard) as_of: Option<i64>,
    pub(in crate::dashboard) unread: &'a [Unread],
    /// Whether an older answer is shown because a newer one takes too long.
    pub(in crate::dashboard) is_stale: bool,
    pub(in crate::dashboard) body: Markup,
}

fn head(site: &Site, title: &str, refresh_s: Option<u32>) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            meta name="robots" content="noindex";
            // With scripts, the script looks again, and the page stays until there is another.
            @if let Some(seconds) = refresh_s { noscript { meta http-equiv="refresh" content=(seconds); } }
            title { (title) " · Ledger" }
            link rel="icon" href=(ICON);
            link rel="stylesheet" href=(site.css);
            script src=(site.js) defer {}
        }
    }
}

const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E\
    %3Crect width='16' height='16' rx='4' fill='%233451d1'/%3E%3Cpath d='M4 5h8M4 8h8M4 11h5' stroke='white' \
    stroke-width='1.6' stroke-linecap='round'/%3E%3C/svg%3E";

pub(in crate::dashboard) fn page(frame: &Frame<'_>, page: Page<'_>) -> Markup {
    let Frame { site, scope, .. } = *frame;
    let visiting = frame.is_visiting.then(|| format!("{scope} · "));
    let title = format!("{}{}", visiting.unwrap_or_default(), page.title);
    html! {
        (DOCTYPE)
        html lang="en" {
            (head(site, &title, None))
            body {
                a.skip href="#main" { "Skip to the content" }
                header.top {
                    a.brand href=(frame.href("/")) { (mark()) span { "Ledger" } }
                    p.scope {
                        span.visually-hidden { "Scope: " }
                        bdi.name title=(scope.tenant_id()) { (scope.tenant_id()) }
                        span.env { (scope.env()) }
                    }
                    div.session {
                        span.who title=(frame.who) { (text(frame.who)) }
                        form method="post" action=(site.href("/sign-out")) { button.quiet type="submit" { "Sign out" } }
                    }
                }
                nav.side aria-label="Pages" {
                    ul {
                        (entry(page.nav, Nav::Overview, &frame.href("/"), "Overview"))
                        (entry(page.nav, Nav::Events, &frame.href("/events"), "Events"))
                        @for (id, title) in &site.panels {
                            (entry(page.nav, Nav::Panel(id), &frame.href(&format!("/panels/{id}")), title))
                        }
                        (entry(page.nav, Nav::Coverage, &frame.href("/coverage"), "Coverage"))
                        (entry(page.nav, Nav::Health, &frame.href("/health"), "Ledger health"))
                        @if frame.is_operator { (entry(page.nav, Nav::Operator, &site.href("/operator"), "All scopes")) }
                    }
                }
                main #main tabindex="-1" {
                    @if frame.is_visiting {
                        p.notice.warning { "You look at the scope " (text(&scope.to_string())) " as an operator. Each page is recorded." }
                    }
                    div.title {
                        div {
                            h1 { (text(page.title)) }
                            @if !page.lead.is_empty() { p.lead { (text(page.lead)) } }
                        }
                        @if let Some((window, path)) = page.window { (windows(frame, window, path)) }
                    }
                    (freshness(frame, &page))
                    @for unread in page.unread { (unread_notice(unread)) }
                    (page.body)
                }
            }
        }
    }
}

fn mark() -> Markup {
    html! {
        svg viewBox="0 0 16 16" aria-hidden="true" focusable="false" {
            rect width="16" height="16" rx="4" {}
            path d="M4 5h8M4 8h8M4 11h5" {}
        }
    }
}

fn entry(current: Nav<'_>, this: Nav<'_>, href: &str, title: &str) -> Markup {
    html! { li { a href=(href) aria-current=[(current == this).then_some("page")] { (text(title)) } } }
}

fn windows(frame: &Frame<'_>, current: Window, path: &str) -> Markup {
    html! {
        nav.windows aria-label="Window of time" {
            ul { @for (name, title, window) in WINDOWS {
                @let href = frame.href(&format!("{path}?window={name}"));
                li { a href=(href) aria-current=[(window == current).then_some("true")] title={ "Last: " (title_of(window)) } { (title) } }
            } }
        }
    }
}

fn freshness(frame: &Frame<'_>, page: &Page<'_>) -> Markup {
    html! {
        p.freshness {
            span {
                @match page.as_of {
                    Some(as_of) => { "Newest event " (relative_time(as_of, frame.now_us)) },
                    None => { "Read " (relative_time(frame.now_us, frame.now_us)) },
                }
            }
            @if page.is_stale { " " span.status.warning { "A newer reading is under way" } }
            // Scripts show the button; without them there is none.
            " " button #live .quiet type="button" hidden aria-pressed="false" data-every="10" { "Live" }
            " " span #live-status role="status" {}
        }
    }
}

/// What could not be read, without the files that it lies in.
fn unread_notice(unread: &Unread) -> Markup {
    html! {
        p.notice.bad role="alert" {
            @match unread.ledger_id {
                Some(id) => { "Ledger " (super::name(&id.to_string())) " could not be read: this page lacks its events." },
                None => "Some ledgers could not be looked for: this page may lack events.",
            }
        }
    }
}

/// A page without navigation: to sign in, or to say why there is nothing to see.
pub(in crate::dashboard) fn bare_page(
    site: &Site,
    title: &str,
    refresh_s: Option<u32>,
    body: Markup,
) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            (head(site, title, refresh_s))
            body.bare {
                main #main {
                    p.brand { (mark()) span { "Ledger" } }
                    h1 { (title) }
                    (body)
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_work_below_any_base() {
        assert_eq!([address("", "/"), address("", "/events")], ["/", "/events"]);
        assert_eq!([address("/a/b", "/"), address("/a/b", "/events")], ["/a/b", "/a/b/events"]);
        assert_eq!(
            [address("", "/?window=all"), address("/a", "/?window=all")],
            ["/?window=all", "/a?window=all"]
        );
    }
}
