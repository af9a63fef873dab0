use dataset_events::testing::TestLedger;
use dataset_events::{RequestContext, dataset_event};
use dataset_events::{ErrorCode, Guarantee, surfaces};

#[derive(Debug, ErrorCode)]
pub enum Failure {
    #[code("pass.failed")]
    Failed,
}

mod inner {
    use super::*;
    pub(crate) type Result<T, E = super::Failure> = std::result::Result<T, E>;

    #[dataset_event(surface = "registry.nested", access = "read", input(value, size = value + 1), source_refs(thing = value))]
    #[allow(dead_code)]
    fn never_called(ctx: &RequestContext, value: u32) -> Result<u32> {
        Ok(value)
    }
}

struct Generic<E>(E);

impl<E: ErrorCode> Generic<E> {
    // `E` is a parameter of the block, which a static cannot name: no codes, and no error.
    #[dataset_event(surface = "registry.generic")]
    #[allow(dead_code)]
    fn of_parameter(ctx: &RequestContext) -> std::result::Result<(), E> {
        Ok(())
    }

    #[dataset_event(surface = "registry.named")]
    #[allow(dead_code)]
    fn named(ctx: &RequestContext) -> std::result::Result<(), crate::Failure> {
        Ok(())
    }
}

#[allow(dead_code)]
fn generic_function<T>(_: T) {
    #[dataset_event(surface = "registry.in_a_generic")]
    fn inside(ctx: &RequestContext) {}
}

#[cfg(any())]
#[dataset_event(surface = "registry.compiled_out")]
fn compiled_out(ctx: &RequestContext) {}

fn local_error() {
    #[derive(Debug, ErrorCode)]
    #[code("pass.local")]
    struct Local;

    #[dataset_event(surface = "registry.local_error")]
    #[allow(dead_code)]
    fn local(ctx: &RequestContext) -> std::result::Result<(), Local> {
        Err(Local)
    }
}

fn main() {
    local_error();
    let site = |name: &str| surfaces().find(|site| site.surface == name).unwrap_or_else(|| panic!("no {name}"));
    let nested = site("registry.nested");
    assert_eq!(nested.guarantee, Guarantee::Recorded);
    assert_eq!(nested.function, "never_called");
    assert!(nested.module.ends_with("::inner"));
    assert!(nested.file.ends_with("registry.rs"));
    assert!(!nested.was_entered());
    let inputs: Vec<_> = nested.inputs.iter().map(|field| (field.name, field.rust_type)).collect();
    assert_eq!(inputs, [("value", "u32"), ("size", "")]);
    assert_eq!(nested.source_refs, ["thing"]);
    let names = |name: &str| (site(name).codes)().iter().map(|code| code.name()).collect::<Vec<_>>();
    assert_eq!(names("registry.nested"), ["pass.failed"]);
    assert_eq!(names("registry.named"), ["pass.failed"]);
    assert!(names("registry.generic").is_empty());
    assert!(names("registry.local_error").is_empty());
    site("registry.in_a_generic");
    assert!(surfaces().all(|site| site.surface != "registry.compiled_out"));
    drop(TestLedger::new());
    drop(Generic(Failure::Failed).0);
}
