//! axe-core in a page: what keeps people from using it.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use crate::browser::Browser;

/// One test installs it, the others find it there.
static INSTALLING: Mutex<()> = Mutex::new(());

const RUN: &str = "
    const done = arguments[arguments.length - 1];
    axe.run(document, {resultTypes: ['violations']}).then(
        (found) => done(found.violations.map((violation) => ({
            impact: violation.impact, id: violation.id, help: violation.help,
            nodes: violation.nodes.slice(0, 3).map((node) => `${node.target} ${node.failureSummary}`),
        }))),
        (error) => done(String(error)));";

fn version_in(manifest: &Path) -> Option<String> {
    let manifest: Value = serde_json::from_str(&fs::read_to_string(manifest).ok()?).ok()?;
    Some(manifest["version"].as_str()?.to_owned())
}

/// The source of axe-core, in the version that `package-lock.json` says.
fn source() -> String {
    let _installing = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser");
    let lock = fs::read_to_string(folder.join("package-lock.json")).expect("package-lock.json");
    let lock: Value = serde_json::from_str(&lock).expect("JSON");
    let wanted = lock["packages"]["node_modules/axe-core"]["version"].as_str().expect("a version");
    let package = folder.join("node_modules/axe-core");
    if version_in(&package.join("package.json")).as_deref() != Some(wanted) {
        let args = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
        match Command::new("npm").args(args).current_dir(&folder).output() {
            Ok(output) => assert!(
                output.status.success(),
                "npm ci in {}: {}",
                folder.display(),
                String::from_utf8_lossy(&output.stderr)
            ),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                panic!("the browser tests need npm to get axe-core: apt-get install npm")
            }
            Err(error) => panic!("npm ci in {}: {error}", folder.display()),
        }
    }
    fs::read_to_string(package.join("axe.min.js")).expect("axe-core is installed")
}

/// What axe finds of impact serious or critical, and of less.
pub(crate) struct Found {
    pub(crate) serious: Vec<String>,
    pub(crate) minor: Vec<String>,
}

/// Examines the page that is shown.
pub(crate) async fn examine(browser: &Browser) -> Found {
    browser.js(&source()).await;
    let found = browser.js_async(RUN).await;
    let violations = found.as_array().unwrap_or_else(|| panic!("axe failed: {found}"));
    let (serious, minor): (Vec<_>, Vec<_>) = violations
        .iter()
        .partition(|violation| matches!(violation["impact"].as_str(), Some("serious" | "critical")));
    let said = |violations: Vec<&Value>| violations.into_iter().map(Value::to_string).collect();
    Found { serious: said(serious), minor: said(minor) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn axe_finds_what_is_wrong() {
    crate::browser::with_browser(async |browser| {
        let page =
            "<!doctype html><html><title>x</title><main><input><p style='color:%23ccc'>pale</p></main>";
        browser.open(&format!("data:text/html,{page}")).await;
        let found = examine(browser).await;
        for id in ["color-contrast", "html-has-lang", "label"] {
            let is_found = found.serious.iter().any(|violation| violation.contains(&format!("\"{id}\"")));
            assert!(is_found, "{id} in {:?}", found.serious);
        }
    })
    .await;
}
