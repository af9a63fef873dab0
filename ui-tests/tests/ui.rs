//! What must compile, and what must not.

#[test]
fn pass() {
    trybuild::TestCases::new().pass("cases/pass/*.rs");
}
