//! The tenant as a parameter of the path.

use axum::extract::MatchedPath;
use dataset_events::{Scope, TenantId};

use super::scope::DefaultScope;
use super::{AuthError, Resolution, ResolveScope};

/// Chooses the tenant that a parameter of the path names, as `{tenant}` in `/t/{tenant}/notes`.
///
/// The path narrows as a header does: a tenant that the identity is not good for, or another one than that of
/// `x-tenant-id`, is [`AuthError::ScopeMismatch`]. Routes without the parameter resolve as [`DefaultScope`] does.
///
/// The parameter is read from the path by the route's template (axum's `MatchedPath`). Put the layer on the outermost
/// router: inside of `nest` the path is cut and no longer fits the template, which is refused.
#[derive(Debug, Clone)]
pub struct TenantInPath {
    parameter: String,
    rest: DefaultScope,
}

impl TenantInPath {
    /// The tenant is this parameter, named without braces.
    pub fn new(parameter: impl Into<String>) -> Self {
        Self { parameter: parameter.into(), rest: DefaultScope::new() }
    }

    /// The same, with all else resolved so.
    #[must_use]
    pub fn with(mut self, rest: DefaultScope) -> Self {
        self.rest = rest;
        self
    }
}

impl ResolveScope for TenantInPath {
    fn resolve(&self, resolution: Resolution<'_>) -> Result<Scope, AuthError> {
        let Some(template) = resolution.parts.extensions.get::<MatchedPath>() else {
            return self.rest.resolve(resolution);
        };
        let named = parameter(template.as_str(), resolution.parts.uri.path(), &self.parameter)?;
        let chosen = named.map(|raw| tenant(raw).ok_or(AuthError::ScopeMismatch)).transpose()?;
        self.rest.narrowed(resolution, chosen.as_ref())
    }
}

/// The raw value of the parameter in the path; `None` when the template has no such parameter.
fn parameter<'a>(template: &str, path: &'a str, name: &str) -> Result<Option<&'a str>, AuthError> {
    let mut found = None;
    let mut steps = path.split('/');
    for step in template.split('/') {
        if is_catch_all(step) {
            return Ok(found);
        }
        let raw = steps.next().ok_or(AuthError::ScopeMismatch)?;
        match (split_parameter(step), step) {
            (Some((before, inner, after)), _) => {
                let value = raw.strip_prefix(&*unescape(before));
                let value = value.and_then(|value| value.strip_suffix(&*unescape(after)));
                let value = value.ok_or(AuthError::ScopeMismatch)?;
                if inner == name {
                    found = Some(value);
                }
            }
            (None, literal) if unescape(literal) == raw => {}
            (None, _) => return Err(AuthError::ScopeMismatch),
        }
    }
    if steps.next().is_some() { Err(AuthError::ScopeMismatch) } else { Ok(found) }
}

fn is_catch_all(step: &str) -> bool {
    step.starts_with("{*") && step.ends_with('}')
}

/// What stands before, in and after the braces of a template's step. Doubled braces are literal ones.
fn split_parameter(step: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    let open = loop {
        let at = from + step[from..].find('{')?;
        if !step[at + 1..].starts_with('{') {
            break at;
        }
        from = at + 2;
    };
    let close = open + step[open..].find('}')?;
    Some((&step[..open], &step[open + 1..close], &step[close + 1..]))
}

fn unescape(literal: &str) -> String {
    literal.replace("{{", "{").replace("}}", "}")
}

/// The tenant of a raw path value, decoded once.
fn tenant(raw: &str) -> Option<TenantId> {
    let mut decoded = Vec::with_capacity(raw.len());
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let (high, low) = (hex(bytes.next()?)?, hex(bytes.next()?)?);
            decoded.push(high * 16 + low);
        } else {
            decoded.push(byte);
        }
    }
    TenantId::new(std::str::from_utf8(&decoded).ok()?).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parameter_is_found_by_its_place_in_the_template() {
        let found = |template, path| parameter(template, path, "tenant");
        assert_eq!(found("/t/{tenant}/notes/{id}", "/t/acme/notes/7"), Ok(Some("acme")));
        assert_eq!(found("/{id}/{tenant}", "/7/acme"), Ok(Some("acme")));
        assert_eq!(found("/t/{tenant}/{*rest}", "/t/acme/a/b/c"), Ok(Some("acme")));
        assert_eq!(found("/t/t-{tenant}", "/t/t-acme"), Ok(Some("acme")));
        assert_eq!(found("/{{x}}/{tenant}", "/{x}/acme"), Ok(Some("acme")));
        assert_eq!(found("/notes/{id}", "/notes/acme"), Ok(None));
        assert_eq!(found("/{*tenant}", "/acme/x"), Ok(None));
    }

    #[test]
    fn a_path_that_does_not_fit_its_template_is_refused() {
        let refused = Err(AuthError::ScopeMismatch);
        assert_eq!(parameter("/api/t/{tenant}", "/t/acme", "tenant"), refused);
        assert_eq!(parameter("/t/{tenant}", "/u/acme", "tenant"), refused);
        assert_eq!(parameter("/t/{tenant}", "/t/acme/x", "tenant"), refused);
        assert_eq!(parameter("/t/{tenant}", "/t", "tenant"), refused);
        assert_eq!(parameter("/t/t-{tenant}", "/t/acme", "tenant"), refused);
    }

    #[test]
    fn a_path_value_is_decoded_once_and_then_checked() {
        assert_eq!(tenant("acme").unwrap(), "acme");
        assert_eq!(tenant("%61cm%65").unwrap(), "acme");
        assert_eq!(tenant("a%3Ab").unwrap(), "a:b");
        for refused in
            ["", "%", "%6", "%zz", "a%2Fb", "%2e%2e", "%2561cme", "a%00", "%ff", "a+b", "%24system"]
        {
            assert_eq!(tenant(refused), None, "{refused}");
        }
    }
}
