//! The operator's page: all scopes, and the sinks of this process.

use dataset_events::sinks::SinkStatus;
use dataset_events::{LedgerId, Scope, Unread};
use maud::{Markup, html};

use super::sinks::operators_sinks;
use crate::dashboard::format::count;
use crate::dashboard::html::{Frame, Nav, Page, name, page};

/// The scopes of the set, and how its own ledgers are forwarded.
pub(in crate::dashboard) struct ScopeList {
    pub(in crate::dashboard) scopes: Vec<(Scope, u64)>,
    /// The sinks of this process, each with its ledger.
    pub(in crate::dashboard) sinks: Vec<(LedgerId, SinkStatus)>,
    pub(in crate::dashboard) unread: Vec<Unread>,
}

pub(in crate::dashboard) fn operator_page(frame: &Frame<'_>, list: &ScopeList) -> Markup {
    let body = html! {
        form.card.filters method="get" action=(frame.site.href("/operator")) aria-label="Go to a scope" {
            div.field { label for="tenant" { "Tenant" } input id="tenant" name="tenant" required autocomplete="off" spellcheck="false"; }
            div.field { label for="env" { "Env" } input id="env" name="env" required autocomplete="off" spellcheck="false"; }
            div.actions { button type="submit" { "Look at the scope" } }
        }
        section.card {
            @if list.scopes.is_empty() {
                h2.caption { "Scopes" }
                p.nothing { "No ledger of the set has events yet." }
            } @else {
                table {
                    caption { "Scopes with events" }
                    thead { tr { th scope="col" { "Tenant" } th scope="col" { "Env" } th.number scope="col" { "Events" } } }
                    tbody { @for (scope, events) in &list.scopes {
                        @let href = frame.site.href(&format!("/operator/scopes/{}/{}", scope.tenant_id(), scope.env()));
                        tr {
                            th scope="row" data-label="Tenant" { a href=(href) { (name(scope.tenant_id().as_str())) } }
                            td data-label="Env" { (name(scope.env().as_str())) }
                            td.number data-label="Events" { (count(*events)) }
                        }
                    } }
                }
            }
        }
        (operators_sinks(frame, &list.sinks))
    };
    page(
        frame,
        Page {
            nav: Nav::Operator,
            title: "All scopes",
            lead: "For operators. That you look, and at what, is recorded.",
            window: None,
            as_of: None,
            unread: &list.unread,
            is_stale: false,
            body,
        },
    )
}
