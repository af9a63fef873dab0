//! The routes as one list, from which both the router and its documentation are made.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::routing::MethodRouter;
use dataset_events::{Code, ErrorCode as _};

use super::Inner;
use super::error::DashboardError;
use super::html::address;

/// Who may call a route.
#[derive(Clone, Copy)]
pub(super) enum Caller {
    /// Whoever has a token: for the own scope.
    Tenant,
    /// Operators alone.
    Operator,
    /// Everybody, without a token.
    Everybody,
}

/// One route.
pub(super) struct Listed {
    path: &'static str,
    method: &'static str,
    caller: Caller,
    /// What is recorded of a call beside the request; empty where nothing is.
    recorded: &'static str,
    codes: &'static [&'static str],
    handler: MethodRouter<Arc<Inner>>,
}

impl Listed {
    pub(super) fn new(
        method: &'static str,
        path: &'static str,
        handler: MethodRouter<Arc<Inner>>,
        codes: &'static [&'static str],
    ) -> Self {
        Self { path, method, caller: Caller::Tenant, recorded: "`ledger.read`", codes, handler }
    }

    pub(super) fn caller(mut self, caller: Caller) -> Self {
        self.caller = caller;
        self
    }

    pub(super) fn unrecorded(mut self) -> Self {
        self.recorded = "";
        self
    }

    fn row(&self, base: &str) -> String {
        let who = match self.caller {
            Caller::Tenant => "the scope's users",
            Caller::Operator => "operators",
            Caller::Everybody => "everybody",
        };
        let recorded = if self.recorded.is_empty() { "nothing" } else { self.recorded };
        let codes: Vec<String> = self.codes.iter().map(|name| with_status(name)).collect();
        let codes = if codes.is_empty() { "none of its own".to_owned() } else { codes.join(", ") };
        format!("| `{}` | `{}` | {who} | {recorded} | {codes} |", self.method, address(base, self.path))
    }
}

/// A code of the dashboard with its status.
fn with_status(name: &str) -> String {
    let known: Option<&Code> = DashboardError::codes().iter().find(|code| code.name() == name);
    known.map_or_else(|| format!("`{name}`"), |code| format!("`{name}` {}", code.http_status()))
}

/// A router of these routes.
pub(super) fn router(routes: Vec<Listed>) -> Router<Arc<Inner>> {
    routes.into_iter().fold(Router::new(), |router, route| router.route(route.path, route.handler))
}

/// A table of these routes below a base path.
pub(super) fn markdown(base: &str, routes: &[Listed]) -> String {
    let mut text =
        String::from("| method | route | who | recorded besides | codes |\n|---|---|---|---|---|\n");
    for route in routes {
        let _ = writeln!(text, "{}", route.row(base));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dashboard::{open_routes, routes};

    #[test]
    fn every_code_of_a_route_is_one_of_the_dashboard_and_each_of_those_is_of_a_route() {
        let listed =
            routes::of_a_scope().into_iter().chain(routes::of_operators()).chain(open_routes::listed());
        let mut named: Vec<&str> = listed.flat_map(|route| route.codes).copied().collect();
        named.sort_unstable();
        named.dedup();
        let mut known: Vec<&str> = DashboardError::codes().iter().map(|code| code.name()).collect();
        known.sort_unstable();
        assert_eq!(named, known);
    }
}
