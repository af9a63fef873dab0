//! Each direct dependency of each package has its reason in `docs/dependencies.md`, and no other is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const PACKAGES: [(&str, &str); 6] = [
    ("runtime", "dataset-events"),
    ("macros", "dataset-events-macros"),
    ("service", "dataset-events-service"),
    ("tests", "dataset-events-tests"),
    ("ui-tests", "dataset-events-ui-tests"),
    ("examples", "dataset-events-examples"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The keys of the dependency tables of a manifest.
fn used(folder: &str) -> BTreeSet<String> {
    let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml")).expect("a manifest");
    let mut is_dependencies = false;
    let mut names = BTreeSet::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            is_dependencies = line.ends_with("dependencies]");
        } else if is_dependencies && let Some((name, _)) = line.split_once(['.', ' ', '=']) {
            names.insert(name.to_owned());
        }
    }
    names
}

/// The crates listed under a package's heading.
fn explained(document: &str, package: &str) -> BTreeSet<String> {
    let heading = format!("## `{package}`");
    let sections = document.split("\n## ").skip(1);
    let section =
        sections.map(|section| format!("## {section}")).find(|section| section.starts_with(&heading));
    let section = section.unwrap_or_else(|| panic!("no heading {heading} in docs/dependencies.md"));
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    rows.map(|(name, _)| name.to_owned()).collect()
}

#[test]
fn each_dependency_has_its_reason() {
    let document = fs::read_to_string(root().join("docs/dependencies.md")).expect("docs/dependencies.md");
    for (folder, package) in PACKAGES {
        let used = used(folder);
        assert!(!used.is_empty(), "{folder}/Cargo.toml has dependencies");
        assert_eq!(
            used,
            explained(&document, package),
            "in {folder}/Cargo.toml, and in docs/dependencies.md"
        );
    }
}
