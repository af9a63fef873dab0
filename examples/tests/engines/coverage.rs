//! Every surface of the engines is seen to succeed and to fail by their tests, and leaving tests out shows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use dataset_events::testing::assert_covered;
use dataset_events::testing::coverage::{Coverage, Demand, Gap, merged, of_this_test_binary};

const CRATE: &str = "dataset_events_examples";

/// Codes that no call of a test ends with, and why.
const NEVER_SEEN: [(&str, &str); 9] = [
    ("gate.invalid_answer", "of controls in another process; the chat's error, tested in `gate`"),
    ("gate.unknown_refusal", "of controls in another process; the chat's error, tested in `gate`"),
    ("nexus.busy", "another program holds the file for longer than the nexus waits; a unit test does"),
    ("nexus.folder_failed", "ends the opening of the database, which is no call in a scope"),
    ("nexus.newer_schema", "ends the opening of the database, which is no call in a scope"),
    ("nexus.no_entropy", "the operating system gives no random bytes"),
    ("nexus.open_failed", "ends the opening of the database, which is no call in a scope"),
    ("nexus.shutting_down", "the runtime ends while the call waits, and its future with it"),
    ("nexus.unscoped", "a statement of an engine without its scope; a unit test writes one"),
];

/// The engine of a surface or a code.
fn engine(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

/// What the tests of this binary cover, these here left out.
fn seen() -> Coverage {
    of_this_test_binary(&["--skip", "coverage::"]).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn every_surface_is_seen_to_succeed_and_to_fail_and_each_code_to_be_used() {
    let seen = seen();
    println!("{seen}");
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("coverage-of-the-engines.json");
    let json = serde_json::to_vec_pretty(&seen).expect("coverage as JSON");
    std::fs::write(&path, json).unwrap_or_else(|error| panic!("write {}: {error}", path.display()));
    println!("As JSON: {}", path.display());

    let own: Vec<_> = seen.surfaces.iter().filter(|surface| surface.crate_name == CRATE).collect();
    assert!(
        own.iter().all(|surface| surface.cannot_fail.is_none()),
        "every engine can fail: with its database"
    );
    // An error type lists the codes of all calls of its engine, and of the engines that it asks: no one call can
    // end with all of them. So each code is looked for at all surfaces, once, for the engine it belongs to.
    let declared: BTreeSet<&str> = own
        .iter()
        .flat_map(|surface| {
            surface.codes_declared.iter().filter(|code| engine(code) == engine(&surface.surface))
        })
        .map(String::as_str)
        .collect();
    let used: BTreeSet<&str> =
        own.iter().flat_map(|surface| &surface.codes_seen).map(String::as_str).collect();
    let unused: BTreeSet<&str> = declared.difference(&used).copied().collect();
    let excused: BTreeSet<&str> = NEVER_SEEN.iter().map(|(code, _)| *code).collect();
    assert!(declared.len() > 50, "{} codes", declared.len());
    assert_eq!(unused, excused, "codes that no test provokes, and those that say why");

    assert_covered!(coverage = seen; dataset_events_examples);
}

/// The tests of this binary, these here left out.
fn tests() -> Vec<String> {
    let program = std::env::current_exe().expect("this binary");
    let output = Command::new(program).arg("--list").output().expect("list the tests");
    let list = String::from_utf8(output.stdout).expect("text");
    let tests = list.lines().filter_map(|line| line.strip_suffix(": test"));
    tests.filter(|test| !test.starts_with("coverage::")).map(str::to_owned).collect()
}

/// Which engines each test calls, asked of each test by itself.
fn engines_by_test() -> BTreeMap<String, BTreeSet<String>> {
    let program = std::env::current_exe().expect("this binary");
    let called = |test: &String| {
        let directory = tempfile::tempdir().expect("make a temporary directory");
        let mut alone = Command::new(&program);
        alone.args(["--exact", test]).env("DATASET_EVENTS_COVERAGE", directory.path());
        let output = alone.output().expect("run a test");
        assert!(output.status.success(), "{test}: {}", String::from_utf8_lossy(&output.stdout));
        let coverage = merged(directory.path()).expect("what the test covered");
        let entered = coverage.surfaces.iter().filter(|surface| surface.is_entered);
        entered.map(|surface| engine(&surface.surface).to_owned()).collect()
    };
    tests().into_iter().map(|test| (test.clone(), called(&test))).collect()
}

/// The surfaces of the crate for which something is missing.
fn missing(coverage: &Coverage) -> BTreeSet<String> {
    let Err(missing) = coverage.check(&[CRATE], Demand::default()) else { return BTreeSet::new() };
    let surface = |gap| match gap {
        Gap::NeverSucceeded(surface) | Gap::NeverFailed(surface) => surface.surface,
        other => panic!("{other:?}"),
    };
    missing.gaps.into_iter().map(surface).collect()
}

#[test]
fn leaving_out_the_tests_of_an_engine_turns_the_coverage_red_and_names_its_surfaces() {
    let by_test = engines_by_test();
    let surfaces: BTreeSet<&str> = dataset_events::surfaces()
        .filter(|site| site.crate_name() == CRATE && site.skip.is_none())
        .map(|site| site.surface)
        .collect();
    let engines: BTreeSet<&str> = surfaces.iter().map(|surface| engine(surface)).collect();
    assert_eq!(engines.len(), 11, "{engines:?}");
    for left_out in engines {
        let rest = by_test.iter().filter(|(_, called)| !called.contains(left_out));
        let mut args = vec!["--exact"];
        args.extend(rest.map(|(test, _)| test.as_str()));
        assert!(args.len() > 1, "without tests to run, all would");
        assert!(args.len() <= by_test.len(), "{left_out} has tests");
        let coverage = of_this_test_binary(&args).unwrap_or_else(|error| panic!("{error}"));
        let missing = missing(&coverage);
        let own: BTreeSet<&str> =
            surfaces.iter().copied().filter(|surface| engine(surface) == left_out).collect();
        for surface in &own {
            assert!(missing.contains(*surface), "without the tests of {left_out}, {surface} is not missed");
        }
        println!(
            "without the {} tests that call {left_out}: {} surfaces missing, all {} of its own among them",
            by_test.len() + 1 - args.len(),
            missing.len(),
            own.len()
        );
    }
}
