//! A program may use this library beside any sqlx: no crate of ours claims a native library that one of
//! sqlx's claims too, and no requirement of ours excludes one of its.
//!
//! Asks the registry for the packages' requirements, so it needs the network, as any first build does.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

fn cargo(package: &Path, args: &[&str]) -> Vec<u8> {
    let output = Command::new(env!("CARGO")).args(args).current_dir(package).output().expect("start cargo");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo {args:?} failed; it needs the registry's index: {errors}");
    output.stdout
}

/// The version of sqlx that an empty program with both resolves to.
fn resolved(sqlx: &str) -> String {
    let package = tempfile::tempdir().expect("temporary directory");
    let runtime =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime").canonicalize().expect("the runtime");
    let manifest = format!(
        "[package]\nname = \"program\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n\
         [dependencies]\ndataset-events.path = {runtime:?}\n\
         sqlx = {{ version = \"{sqlx}\", features = [\"postgres\", \"macros\", \"chrono\", \"uuid\"] }}\n"
    );
    fs::write(package.path().join("Cargo.toml"), manifest).expect("write the manifest");
    fs::create_dir(package.path().join("src")).expect("make src");
    fs::write(package.path().join("src/main.rs"), "fn main() {}\n").expect("write main.rs");
    cargo(package.path(), &["generate-lockfile", "--quiet"]);
    let lock = fs::read_to_string(package.path().join("Cargo.lock")).expect("there is a lock file");
    let version_of = |name: &str| {
        let (_, entry) = lock.split_once(&format!("\nname = \"{name}\"\nversion = \"")).unwrap_or_default();
        entry.split('"').next().unwrap_or_default().to_owned()
    };
    assert!(!version_of("dataset-events").is_empty() && !version_of("sqlx-postgres").is_empty(), "{lock}");
    version_of("sqlx")
}

#[test]
fn an_empty_program_with_sqlx_0_8_resolves() {
    let version = resolved("0.8");
    assert!(version.starts_with("0.8."), "{version}");
}

#[test]
fn an_empty_program_with_sqlx_0_9_resolves() {
    let version = resolved("0.9");
    assert!(version.starts_with("0.9."), "{version}");
}

/// What makes the two above hold for every crate, not only for sqlx. On Linux, where the library runs.
#[test]
fn nothing_that_a_program_links_through_the_library_claims_a_native_library() {
    let args = ["metadata", "--format-version", "1", "--filter-platform", "x86_64-unknown-linux-gnu"];
    let output = cargo(Path::new(env!("CARGO_MANIFEST_DIR")), &args);
    let metadata: Value = serde_json::from_slice(&output).expect("metadata is JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let by_id = |id: &Value| packages.iter().find(|package| package["id"] == *id).expect("a package");
    let nodes = metadata["resolve"]["nodes"].as_array().expect("nodes");
    let runtime = packages.iter().find(|package| package["name"] == "dataset-events").expect("the runtime");
    let mut to_visit = vec![runtime["id"].clone()];
    let mut seen: Vec<Value> = Vec::new();
    while let Some(id) = to_visit.pop() {
        if seen.contains(&id) {
            continue;
        }
        let node = nodes.iter().find(|node| node["id"] == id).expect("a node");
        for dependency in node["deps"].as_array().expect("deps") {
            let kinds = dependency["dep_kinds"].as_array().expect("kinds");
            // What its own tests use no program links.
            if kinds.iter().any(|kind| kind["kind"] != "dev") {
                to_visit.push(dependency["pkg"].clone());
            }
        }
        seen.push(id);
    }
    let claims: Vec<_> = seen
        .iter()
        .map(by_id)
        .filter(|package| !package["links"].is_null())
        .map(|package| format!("{} links {}", package["name"], package["links"]))
        .collect();
    assert!(seen.len() > 10, "{seen:?}");
    assert_eq!(claims, Vec::<String>::new());
}
