//! Values by method and template, by template alone, else none.

use std::collections::HashMap;

/// Values of routes. Of a template, the value of a method goes before that of all methods.
#[derive(Debug, Clone)]
pub(crate) struct ByRoute<T> {
    routes: HashMap<String, OfTemplate<T>>,
}

#[derive(Debug, Clone)]
struct OfTemplate<T> {
    every_method: Option<T>,
    methods: Vec<(&'static str, T)>,
}

/// The methods that a value is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Methods {
    /// All of the template.
    Every,
    /// This one.
    One(&'static str),
}

impl<T> Default for ByRoute<T> {
    fn default() -> Self {
        Self { routes: HashMap::new() }
    }
}

impl<T> ByRoute<T> {
    pub(crate) fn set(&mut self, methods: Methods, template: String, value: T) {
        let none = || OfTemplate { every_method: None, methods: Vec::new() };
        let of_template = self.routes.entry(template).or_insert_with(none);
        match methods {
            Methods::Every => of_template.every_method = Some(value),
            Methods::One(method) => {
                of_template.methods.retain(|(known, _)| *known != method);
                of_template.methods.push((method, value));
            }
        }
    }

    /// The value of a method and template, and what else shares it.
    pub(crate) fn get(&self, method: &'static str, template: &str) -> Option<(Methods, &T)> {
        let of_template = self.routes.get(template)?;
        let own = of_template.methods.iter().find(|(known, _)| *known == method);
        own.map(|(_, value)| (Methods::One(method), value))
            .or_else(|| of_template.every_method.as_ref().map(|value| (Methods::Every, value)))
    }

    /// The value that a template has for all of its methods.
    pub(crate) fn of_template(&self, template: &str) -> Option<&T> {
        self.routes.get(template)?.every_method.as_ref()
    }

    pub(crate) fn map<U>(&self, make: impl Fn(&T) -> U) -> ByRoute<U> {
        let routes = self.routes.iter().map(|(template, of_template)| {
            let methods = of_template.methods.iter().map(|(method, value)| (*method, make(value)));
            let every_method = of_template.every_method.as_ref().map(&make);
            (template.clone(), OfTemplate { every_method, methods: methods.collect() })
        });
        ByRoute { routes: routes.collect() }
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.routes.values().flat_map(|of_template| {
            of_template.every_method.iter().chain(of_template.methods.iter().map(|(_, value)| value))
        })
    }
}

/// The method whose limits hold: `HEAD` is answered by the handler of `GET`.
pub(crate) fn limited_as(method: &'static str) -> &'static str {
    if method == "HEAD" { "GET" } else { method }
}
