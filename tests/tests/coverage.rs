//! Coverage: what a run of tests exercised, over threads, processes and kills, and what it says when
//! something is missing.

use std::path::Path;
use std::process::{Command, Stdio};

use dataset_events::testing::coverage::{self, Coverage, CoverageError, Demand, Gap, SurfaceCoverage};
use dataset_events::testing::{TestLedger, assert_covered};
use dataset_events::{ErrorCode, RequestContext, dataset_event};

#[derive(Debug, ErrorCode)]
enum Failure {
    #[code("covered.one")]
    One,
    #[code("covered.two")]
    Two,
}

#[derive(Debug)]
struct Undeclared;

impl ErrorCode for Undeclared {
    fn code(&self) -> dataset_events::Code {
        const { dataset_events::Code::new("covered.surprise") }
    }

    fn codes() -> &'static [dataset_events::Code] {
        const { &[dataset_events::Code::new("covered.expected")] }
    }
}

mod full {
    use super::*;

    #[dataset_event(surface = "covered.both")]
    pub(crate) fn both(ctx: &RequestContext, failure: Option<Failure>) -> Result<(), Failure> {
        failure.map_or(Ok(()), Err)
    }

    #[dataset_event(surface = "covered.constant", access = "read", cannot_fail = "reads a constant")]
    pub(crate) fn constant(ctx: &RequestContext) -> u32 {
        7
    }

    /// The same surface, another function.
    #[dataset_event(surface = "covered.both")]
    pub(crate) async fn both_again(ctx: &RequestContext, is_ok: bool) -> Result<(), Failure> {
        if is_ok { Ok(()) } else { Err(Failure::Two) }
    }
}

mod lacking {
    use super::*;

    #[dataset_event(surface = "lacking.never")]
    pub(crate) fn never(ctx: &RequestContext) -> Result<(), Failure> {
        Ok(())
    }

    #[dataset_event(surface = "lacking.one_code")]
    pub(crate) fn one_code(ctx: &RequestContext, is_ok: bool) -> Result<(), Failure> {
        if is_ok { Ok(()) } else { Err(Failure::One) }
    }

    #[dataset_event(surface = "lacking.undeclared")]
    pub(crate) fn undeclared(ctx: &RequestContext) -> Result<(), Undeclared> {
        Err(Undeclared)
    }

    #[dataset_event(surface = "lacking.liar", cannot_fail = "it says")]
    pub(crate) fn liar(ctx: &RequestContext) -> Result<(), Failure> {
        Err(Failure::One)
    }

    #[dataset_event(surface = "lacking.dropped")]
    pub(crate) async fn dropped(ctx: &RequestContext) -> Result<(), Failure> {
        std::future::pending().await
    }

    pub(crate) struct Engine;

    #[dataset_event(engine = "lacking")]
    impl Engine {
        pub(crate) fn counted(&self, ctx: &RequestContext) {}

        #[dataset_event(skip = "no data of a tenant")]
        pub(crate) fn left_out(&self) {}
    }
}

fn with_context(work: impl FnOnce(&RequestContext)) {
    let ledger = TestLedger::new();
    work(&ledger.context("acme", "prod").build().expect("a context"));
}

/// Run as processes of their own by the tests below; harmless in an ordinary run.
mod exercises {
    use super::*;

    #[test]
    fn full_from_two_threads() {
        with_context(|ctx| {
            std::thread::scope(|threads| {
                threads.spawn(|| full::both(ctx, None).expect("ok"));
                threads.spawn(|| full::both(ctx, Some(Failure::One)).expect_err("one"));
            });
            assert_eq!(full::constant(ctx), 7);
        });
    }

    #[test]
    fn full_the_rest() {
        with_context(|ctx| {
            full::both(ctx, Some(Failure::Two)).expect_err("two");
            futures::executor::block_on(full::both_again(ctx, true)).expect("ok");
            futures::executor::block_on(full::both_again(ctx, false)).expect_err("two");
        });
    }

    #[test]
    fn lacking_a_lot() {
        with_context(|ctx| {
            lacking::one_code(ctx, true).expect("ok");
            lacking::one_code(ctx, false).expect_err("one");
            lacking::undeclared(ctx).expect_err("undeclared");
            lacking::liar(ctx).expect_err("liar");
            lacking::Engine.counted(ctx);
            lacking::Engine.left_out();
            let mut call = Box::pin(lacking::dropped(ctx));
            let waker = futures::task::noop_waker();
            assert!(call.as_mut().poll(&mut std::task::Context::from_waker(&waker)).is_pending());
        });
    }

    #[test]
    fn one_call_then_killed() {
        with_context(|ctx| full::both(ctx, None).expect("ok"));
        if std::env::var_os("COVERAGE_TEST_DIES").is_some() {
            // Nothing is flushed, no destructor runs.
            let _ = Command::new("kill").args(["-9", &std::process::id().to_string()]).status();
            std::thread::park();
        }
    }
}

fn exercise(directory: &Path, tests: &[&str]) -> std::process::ExitStatus {
    exercise_with(&std::env::current_exe().expect("this binary"), directory, tests)
}

fn exercise_with(program: &Path, directory: &Path, tests: &[&str]) -> std::process::ExitStatus {
    Command::new(program)
        .args(["--exact"])
        .args(tests)
        .env("DATASET_EVENTS_COVERAGE", directory)
        .env_remove("DATASET_EVENTS_COVERAGE_WITHIN")
        .env("COVERAGE_TEST_DIES", "1")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("run this binary")
}

fn functions<'a>(coverage: &'a Coverage, surface: &str) -> Vec<&'a SurfaceCoverage> {
    coverage.surfaces.iter().filter(|one| one.surface == surface).collect()
}

fn only<'a>(coverage: &'a Coverage, surface: &str) -> &'a SurfaceCoverage {
    let found = functions(coverage, surface);
    assert_eq!(found.len(), 1, "{surface}\n{coverage}");
    found[0]
}

#[test]
fn processes_and_threads_are_merged_and_each_function_counts_for_itself() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    assert!(exercise(path, &["exercises::full_from_two_threads"]).success());
    let half = coverage::merged(path).expect("coverage");
    let both = functions(&half, "covered.both");
    assert_eq!(both.len(), 2, "two functions have this surface\n{half}");
    let first = both.iter().find(|one| one.function == "both").expect("both");
    assert!(first.is_ok && first.has_failed);
    assert_eq!(first.codes_declared, ["covered.one", "covered.two"]);
    assert_eq!(
        (&first.codes_seen[..], &first.codes_never_seen[..]),
        (&["covered.one".to_owned()][..], &["covered.two".to_owned()][..])
    );
    let second = both.iter().find(|one| one.function == "both_again").expect("both_again");
    assert!(!second.is_entered && half.never_seen().any(|one| one == *second));

    assert!(exercise(path, &["exercises::full_the_rest"]).success());
    let whole = coverage::merged(path).expect("coverage");
    assert_eq!(whole.processes, 2);
    for function in functions(&whole, "covered.both") {
        assert!(function.is_ok && function.has_failed, "{whole}");
    }
    let first = functions(&whole, "covered.both").into_iter().find(|one| one.function == "both");
    assert!(first.expect("both").codes_never_seen.is_empty());
    let constant = only(&whole, "covered.constant");
    assert!(constant.is_ok && !constant.has_failed);
    assert_eq!(constant.cannot_fail.as_deref(), Some("reads a constant"));
}

#[test]
fn a_killed_process_loses_nothing_and_a_torn_last_line_is_let_go() {
    let directory = tempfile::tempdir().expect("a directory");
    let status = exercise(directory.path(), &["exercises::one_call_then_killed"]);
    assert!(!status.success(), "it was killed: {status}");
    let seen = coverage::merged(directory.path()).expect("coverage");
    let both = functions(&seen, "covered.both");
    assert!(both.iter().any(|one| one.is_ok && !one.has_failed), "{seen}");

    let file = std::fs::read_dir(directory.path()).unwrap().next().unwrap().unwrap().path();
    let mut text = std::fs::read_to_string(&file).unwrap();
    text.push_str("{\"kind\":\"seen\",\"id\":0,\"wh");
    std::fs::write(&file, &text).unwrap();
    assert_eq!(coverage::merged(directory.path()).expect("coverage"), seen);
    text.push('\n');
    std::fs::write(&file, &text).unwrap();
    let error = coverage::merged(directory.path()).expect_err("a whole line that is none");
    assert!(matches!(error, CoverageError::Malformed { line, .. } if line == text.lines().count()));
}

/// A directory that was kept held what tests saw that are no longer there: their removal passed for full coverage.
#[test]
fn what_an_earlier_build_of_a_program_saw_does_not_count() {
    let directory = tempfile::tempdir().expect("a directory");
    let (program, seen_in) = (directory.path().join("program"), directory.path().join("coverage"));
    std::fs::copy(std::env::current_exe().expect("this binary"), &program).expect("copy this binary");
    assert!(exercise_with(&program, &seen_in, &["exercises::full_the_rest"]).success());
    let before = coverage::merged(&seen_in).expect("coverage");
    assert_eq!((before.processes, before.outdated), (1, 0));
    assert!(functions(&before, "covered.both").iter().all(|one| one.has_failed), "{before}");

    // What follows the end of a program does not change what it does.
    let mut built_again = std::fs::OpenOptions::new().append(true).open(&program).expect("open the program");
    std::io::Write::write_all(&mut built_again, b"again").expect("append to the program");
    drop(built_again);
    let after = coverage::merged(&seen_in).expect("coverage");
    assert_eq!((after.processes, after.outdated), (0, 1));
    assert!(functions(&after, "covered.both").iter().all(|one| !one.is_entered), "{after}");
    assert!(after.to_string().contains("1 files left out: their programs were built again since"), "{after}");

    assert!(exercise_with(&program, &seen_in, &["exercises::full_from_two_threads"]).success());
    let again = coverage::merged(&seen_in).expect("coverage");
    assert_eq!((again.processes, again.outdated), (1, 1));
    assert!(only(&again, "covered.constant").is_ok, "{again}");

    // A program that is gone cannot be asked: what it saw counts.
    std::fs::remove_file(&program).expect("remove the program");
    assert_eq!(coverage::merged(&seen_in).expect("coverage").processes, 2);
}

#[test]
fn a_file_that_does_not_name_its_program_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let line = "{\"kind\":\"seen\",\"id\":0,\"what\":\"ok\"}\n";
    std::fs::write(directory.path().join("1.ndjson"), line).expect("write");
    let error = coverage::merged(directory.path()).expect_err("no program");
    assert!(matches!(error, CoverageError::Malformed { line: 1, .. }), "{error}");
}

#[test]
fn what_is_missing_is_told_for_each_kind() {
    let directory = tempfile::tempdir().expect("a directory");
    assert!(exercise(directory.path(), &["exercises::lacking_a_lot"]).success());
    let seen =
        coverage::merged(directory.path()).expect("coverage").require(&["lacking.never", "lacking.removed"]);
    let missing = seen.check(&["coverage", "absent-crate"], Demand::default().all_codes()).expect_err("gaps");
    let has = |is_it: &dyn Fn(&Gap) -> bool| missing.gaps.iter().any(is_it);
    let is = |one: &SurfaceCoverage, surface: &str| one.surface == surface;
    assert!(has(&|gap| matches!(gap, Gap::NothingLinked { crate_name } if crate_name == "absent_crate")));
    assert!(has(&|gap| matches!(gap, Gap::NotLinked { surface } if surface == "lacking.removed")));
    assert!(!has(&|gap| matches!(gap, Gap::NotLinked { surface } if surface == "lacking.never")));
    assert!(has(&|gap| matches!(gap, Gap::NeverSucceeded(one) if is(one, "lacking.never"))));
    assert!(has(&|gap| matches!(gap, Gap::NeverFailed(one) if is(one, "lacking.counted"))));
    assert!(has(&|gap| matches!(gap, Gap::FailedThoughItCannot(one) if is(one, "lacking.liar"))));
    assert!(has(&|gap| matches!(gap, Gap::CodesNeverSeen(one) if is(one, "lacking.one_code"))));
    assert!(has(&|gap| matches!(gap, Gap::NeverSucceeded(one) if is(one, "lacking.dropped"))));
    assert!(has(&|gap| matches!(gap, Gap::NeverFailed(one) if is(one, "lacking.dropped"))));
    let dropped = only(&seen, "lacking.dropped");
    assert!(dropped.is_entered && dropped.is_cancelled && !dropped.has_failed);
    let undeclared = only(&seen, "lacking.undeclared");
    assert_eq!(undeclared.codes_undeclared, ["covered.surprise"]);
    assert_eq!(undeclared.codes_never_seen, ["covered.expected"]);

    let text = missing.to_string();
    assert!(text.contains("no annotated function of `absent_crate` is linked; a test must name the crate"));
    assert!(text.contains("failed with covered.one, but cannot: it says"), "{text}");
    assert!(text.contains("codes never seen: covered.two"), "{text}");
    assert!(text.contains("coverage::lacking::never (tests/tests/coverage.rs:"), "{text}");
    assert!(seen.check(&["coverage"], Demand::default()).is_err());
}

#[test]
fn the_report_is_a_table_and_json_with_what_is_skipped() {
    let directory = tempfile::tempdir().expect("a directory");
    assert!(exercise(directory.path(), &["exercises::lacking_a_lot"]).success());
    let seen = coverage::merged(directory.path()).expect("coverage");
    let skipped: Vec<_> = seen.skipped.iter().map(|one| (&*one.surface, &*one.reason)).collect();
    assert_eq!(skipped, [("lacking.left_out", "no data of a tenant")]);
    let text = seen.to_string();
    let row = text.lines().find(|line| line.starts_with("lacking.one_code")).expect("a row");
    assert!(row.contains("1 of 2; never: covered.two"), "{row}");
    let json = serde_json::to_value(&seen).expect("JSON");
    let surfaces = json["surfaces"].as_array().expect("surfaces");
    let liar = surfaces.iter().find(|one| one["surface"] == "lacking.liar").expect("liar");
    assert_eq!((&liar["has_failed"], &liar["crate"]), (&true.into(), &"coverage".into()));
    assert_eq!(liar["cannot_fail"], "it says");
}

#[test]
fn the_own_test_binary_is_run_again_without_the_asking_test() {
    // Only the exercises: the other tests of this file would start processes of processes.
    let seen = coverage::of_this_test_binary(&["exercises::full"]).expect("coverage");
    assert!(only(&seen, "covered.constant").is_ok);
    assert!(!only(&seen, "lacking.one_code").is_entered);
    let full: Vec<&str> = seen.surfaces.iter().map(|one| &*one.surface).collect();
    let seen = seen.clone().require(&full);
    let missing = seen.check(&["coverage"], Demand::default()).expect_err("the lacking ones");
    assert!(missing.gaps.iter().all(|gap| match gap {
        Gap::NeverSucceeded(one) | Gap::NeverFailed(one) => one.surface.starts_with("lacking."),
        _ => false,
    }));
}

/// Fails in the run that asks for it, and only there.
#[test]
fn a_failing_test_in_the_second_run_fails_the_first() {
    if std::env::var_os("DATASET_EVENTS_COVERAGE_WITHIN").is_some() {
        // The same question inside itself is refused, so this test fails in the inner run.
        let inner = coverage::of_this_test_binary(&[]);
        panic!("refused: {}", inner.expect_err("inside itself"));
    }
    let error =
        coverage::of_this_test_binary(&["--exact", "a_failing_test_in_the_second_run_fails_the_first"])
            .expect_err("the inner run fails");
    let text = error.to_string();
    assert!(matches!(error, CoverageError::TestsFailed { .. }), "{text}");
    assert!(
        text.contains("refused: run the tests again for their coverage: the asking test ran again"),
        "{text}"
    );
}

#[test]
fn the_macro_panics_with_the_table_and_names_linked_crates() {
    let directory = tempfile::tempdir().expect("a directory");
    assert!(exercise(directory.path(), &["exercises::full_the_rest"]).success());
    let seen = coverage::merged(directory.path()).expect("coverage");
    let panic = std::panic::catch_unwind(|| {
        assert_covered!(coverage = seen.clone(); crate, dataset_events_tests; all_codes);
    });
    let message = *panic.expect_err("incomplete").downcast::<String>().expect("a message");
    assert!(message.contains("lacking.never") && message.contains("coverage is incomplete"), "{message}");
    // Naming it links it: its annotated functions are in the table.
    assert!(message.contains("dataset_events_tests::calls::"), "{message}");
    let panic = std::panic::catch_unwind(|| assert_covered!(coverage = seen; serde_json));
    let message = *panic.expect_err("nothing linked").downcast::<String>().expect("a message");
    assert!(message.contains("no annotated function of `serde_json` is linked"), "{message}");
}
