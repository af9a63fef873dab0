//! What must compile, and what must not.
//!
//! The expected output belongs to the pinned compiler. After a change write it anew with
//! `TRYBUILD=overwrite cargo test -p dataset-events-ui-tests` and read the difference as a user would.

use std::path::{Path, PathBuf};

/// Errors in the program's own code: the compiler's words, on the program's own line.
const PLAIN_COMPILER_ERRORS: [&str; 9] = [
    "args/fails-wrong-type",
    "locus/async-body",
    "locus/async-question-mark",
    "locus/borrow",
    "locus/impl-method-body",
    "locus/missing-return",
    "locus/sync-body",
    "locus/unknown-method",
    "types/error-code-path-wrong-type",
];

#[test]
fn fail() {
    trybuild::TestCases::new().compile_fail("cases/fail/*/*.rs");
}

#[test]
fn pass() {
    trybuild::TestCases::new().pass("cases/pass/*.rs");
}

fn cases(extension: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases/fail");
    let mut found = Vec::new();
    for topic in std::fs::read_dir(root).unwrap() {
        for case in std::fs::read_dir(topic.unwrap().path()).unwrap() {
            let path = case.unwrap().path();
            if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found
}

fn name(case: &Path) -> String {
    let topic = case.parent().and_then(Path::file_name).unwrap();
    format!("{}/{}", topic.display(), case.file_stem().unwrap().display())
}

/// Whether a block of the output says in our words what to type; the compiler's own `help: the trait ..`
/// does not count.
fn says_what_to_type(error: &str) -> bool {
    error.lines().any(|line| line.starts_with("       help: ") || line.contains("= note: help: "))
}

#[test]
fn every_message_says_what_to_type() {
    let outputs = cases("stderr");
    assert!(outputs.len() >= 60, "{} cases", outputs.len());
    for output in &outputs {
        let text = std::fs::read_to_string(output).unwrap();
        let errors: Vec<&str> = text.split("\n\n").filter(|block| block.starts_with("error")).collect();
        assert!(!errors.is_empty(), "{}", output.display());
        for error in errors {
            let is_plain = PLAIN_COMPILER_ERRORS.contains(&name(output).as_str());
            assert!(is_plain || says_what_to_type(error), "{}: no `help:` in\n{error}", output.display());
            assert!(
                !is_plain || !says_what_to_type(error),
                "{} is listed as plain, but is ours",
                output.display()
            );
        }
    }
}

#[test]
fn every_case_has_its_expected_output() {
    for case in cases("rs") {
        assert!(case.with_extension("stderr").exists(), "{} has no expected output", case.display());
    }
    for output in cases("stderr") {
        assert!(output.with_extension("rs").exists(), "{} belongs to no case", output.display());
    }
}

/// A mistake in the program's own body is reported on the program's own line, not at the attribute.
#[test]
fn errors_in_a_body_stand_on_their_own_line() {
    for (case, line) in [
        ("locus/async-body", 5),
        ("locus/async-question-mark", 5),
        ("locus/impl-method-body", 8),
        ("locus/missing-return", 4),
        ("locus/sync-body", 5),
        ("locus/unknown-method", 5),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("cases/fail/{case}.stderr"));
        let text = std::fs::read_to_string(&path).unwrap();
        let place = format!("--> cases/fail/{case}.rs:{line}:");
        assert!(text.contains(&place), "{case}: expected {place} in\n{text}");
    }
}

#[test]
fn the_first_step_of_the_readme_is_the_one_that_compiles() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("../README.md")).unwrap();
    let case = std::fs::read_to_string(root.join("cases/pass/first-step.rs")).unwrap();
    let block = readme.split("```rust\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let lines: Vec<&str> = block.lines().map(|line| line.split("  //").next().unwrap().trim()).collect();
    assert_eq!(lines.len(), 4, "README starts with the four lines of code: {lines:?}");
    for line in lines {
        let is_there = case.lines().any(|of_case| of_case.trim() == line);
        assert!(is_there, "README shows a line that cases/pass/first-step.rs does not have: {line}");
    }
}
