//! Chromium behind its driver: one for each test, ended with it.

use std::io::{BufRead as _, BufReader, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::str::FromStr;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fantoccini::elements::Element;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use futures::FutureExt as _;
use hyper_util::client::legacy::connect::HttpConnector;
use reqwest::{Method, Url};
use serde_json::{Value, json};
use tempfile::TempDir;

/// What to say when a program is not there.
const WHAT_IS_NEEDED: &str =
    "the browser tests need Chromium and its driver: apt-get install chromium chromium-driver";
/// How long one test may take, on a machine that is slow and busy.
const PATIENCE: Duration = Duration::from_secs(1_800);
/// How long a page may take to become what it is waited for, on the same.
const APPEARS: Duration = Duration::from_secs(180);
/// How often the driver is started anew when it ends before it listens.
const STARTS: u32 = 20;
/// The longest page that a screenshot shows to its end.
const MAX_HEIGHT: u64 = 6_000;

/// What a page reports about itself, from before its first byte on.
const REPORT_TROUBLES: &str = r#"
    window.troubles = [];
    addEventListener("securitypolicyviolation",
        (event) => troubles.push(`${event.effectiveDirective} ${event.blockedURI} ${event.sample}`));
    addEventListener("error",
        (event) => troubles.push("error: " + (event.message || event.target.src || event.target.href)), true);
    addEventListener("unhandledrejection", (event) => troubles.push("rejected: " + event.reason));
"#;

/// How a page is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    Light,
    Dark,
    Phone,
    PhoneDark,
}

impl View {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Dark => "dark",
            Self::Phone => "phone",
            Self::PhoneDark => "phone-dark",
        }
    }

    pub(crate) fn is_phone(self) -> bool {
        matches!(self, Self::Phone | Self::PhoneDark)
    }
}

/// The driver's process.
struct Driver {
    process: Child,
    /// Read to the driver's first words; kept, so that its later ones have somewhere to go.
    _words: BufReader<ChildStdout>,
    url: String,
}

impl Driver {
    /// The driver chooses a port, and ends when it is not free in IPv6 as it is in IPv4: then it chooses another one.
    fn start() -> Self {
        let mut said = String::new();
        for _ in 0..STARTS {
            match Self::start_once() {
                Ok(driver) => return driver,
                Err(instead) => said = instead,
            }
        }
        panic!("chromedriver ended {STARTS} times before it listened, at last with: {said}");
    }

    /// The error is what it said before it ended.
    fn start_once() -> Result<Self, String> {
        let started = Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).spawn();
        let mut process = match started {
            Ok(process) => process,
            Err(error) if error.kind() == ErrorKind::NotFound => panic!("{WHAT_IS_NEEDED}"),
            Err(error) => panic!("start chromedriver: {error}"),
        };
        let mut words = BufReader::new(process.stdout.take().expect("piped"));
        let mut said = String::new();
        loop {
            let before = said.len();
            words.read_line(&mut said).expect("read what chromedriver says");
            let line = &said[before..];
            if line.is_empty() {
                // It closed its output: it has ended, or is about to.
                let status = process.wait().expect("wait for chromedriver");
                return Err(format!("{said}({status})"));
            }
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                let url = format!("http://127.0.0.1:{}", port.trim().trim_end_matches('.'));
                return Ok(Self { process, _words: words, url });
            }
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A browser with one page.
pub(crate) struct Browser {
    client: Client,
    _driver: Driver,
    _profile: TempDir,
}

/// A command of the browser's own protocol, by way of its driver.
#[derive(Debug)]
struct DevTools {
    method: &'static str,
    params: Value,
}

impl WebDriverCompatibleCommand for DevTools {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, <Url as FromStr>::Err> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(json!({"cmd": self.method, "params": self.params}).to_string()))
    }
}

/// Runs a test with a browser, and ends the browser whatever becomes of the test.
pub(crate) async fn with_browser(test: impl AsyncFnOnce(&Browser)) {
    let browser = Browser::start().await;
    let tested = tokio::time::timeout(PATIENCE, test(&browser));
    let tested = AssertUnwindSafe(tested).catch_unwind().await;
    // What ends with an error has ended too; what the test found is to be said.
    let closed = browser.client.close().await;
    match tested {
        Ok(in_time) => in_time.expect("the test ends within its time"),
        Err(panic) => resume_unwind(panic),
    }
    closed.expect("the browser ends");
}

impl Browser {
    async fn start() -> Self {
        let driver = Driver::start();
        let profile = tempfile::tempdir().expect("a directory");
        let mut args = vec![
            "--headless=new".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--disable-gpu".to_owned(),
            "--hide-scrollbars".to_owned(),
            "--no-proxy-server".to_owned(),
            "--lang=en-US".to_owned(),
            "--force-device-scale-factor=1".to_owned(),
            format!("--user-data-dir={}", profile.path().display()),
        ];
        // Chromium refuses to run as root within its sandbox; the pages are our own.
        if std::fs::metadata("/proc/self").expect("Linux").uid() == 0 {
            args.push("--no-sandbox".to_owned());
        }
        let options = json!({"args": args, "binary": chromium()});
        let patience_ms = PATIENCE.as_millis() as u64;
        let timeouts = json!({"script": patience_ms, "pageLoad": patience_ms});
        let capabilities =
            json!({"browserName": "chrome", "goog:chromeOptions": options, "timeouts": timeouts});
        let Value::Object(capabilities) = capabilities else { unreachable!("an object") };
        let mut client = ClientBuilder::new(HttpConnector::new());
        let client = client.capabilities(capabilities).connect(&driver.url).await;
        let client = client.unwrap_or_else(|error| panic!("start Chromium: {error}; {WHAT_IS_NEEDED}"));
        let browser = Self { client, _driver: driver, _profile: profile };
        browser.tools("Page.addScriptToEvaluateOnNewDocument", json!({"source": REPORT_TROUBLES})).await;
        browser.view(View::Light).await;
        browser
    }

    /// Asks the browser itself.
    pub(crate) async fn tools(&self, method: &'static str, params: Value) -> Value {
        let answer = self.client.issue_cmd(DevTools { method, params }).await;
        answer.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// Sets what the pages are looked at with, from the next load on at the latest.
    pub(crate) async fn view(&self, view: View) {
        let scheme = if matches!(view, View::Dark | View::PhoneDark) { "dark" } else { "light" };
        let features = json!([
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]);
        self.tools("Emulation.setEmulatedMedia", json!({"features": features})).await;
        let (width, height) = if view.is_phone() { (390, 844) } else { (1_280, 800) };
        let metrics =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": view.is_phone()});
        self.tools("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// Opens an address; answers the status of the page that came.
    pub(crate) async fn open(&self, url: &str) -> u64 {
        self.client.goto(url).await.unwrap_or_else(|error| panic!("open {url}: {error}"));
        self.status().await
    }

    /// The status of the page that is shown.
    pub(crate) async fn status(&self) -> u64 {
        let status = self.js("return performance.getEntriesByType('navigation')[0].responseStatus").await;
        status.as_u64().expect("a status")
    }

    /// Runs a function's body in the page; the page's policy does not hold for it.
    pub(crate) async fn js(&self, body: &str) -> Value {
        self.js_with(body, Vec::new()).await
    }

    pub(crate) async fn js_with(&self, body: &str, args: Vec<Value>) -> Value {
        self.client.execute(body, args).await.unwrap_or_else(|error| panic!("{body:.200}: {error}"))
    }

    /// As [`js`](Self::js), with an answer that comes later: by a call of the last argument.
    pub(crate) async fn js_async(&self, body: &str) -> Value {
        let answer = self.client.execute_async(body, Vec::new()).await;
        answer.unwrap_or_else(|error| panic!("{body:.200}: {error}"))
    }

    /// The text of each element that a selector finds, as it is seen.
    pub(crate) async fn texts(&self, selector: &str) -> Vec<String> {
        let body =
            "return [...document.querySelectorAll(arguments[0])].map((one) => (one.innerText ?? '').trim())";
        strings(&self.js_with(body, vec![selector.into()]).await)
    }

    /// How many elements a selector finds that are seen.
    pub(crate) async fn count(&self, selector: &str) -> usize {
        let body = "return [...document.querySelectorAll(arguments[0])].filter((one) => one.checkVisibility()).length";
        self.js_with(body, vec![selector.into()]).await.as_u64().expect("a count") as usize
    }

    /// An attribute of each element that a selector finds; empty where it has none.
    pub(crate) async fn attributes(&self, selector: &str, name: &str) -> Vec<String> {
        let body = "return [...document.querySelectorAll(arguments[0])]\
            .map((one) => one.getAttribute(arguments[1]) ?? '')";
        strings(&self.js_with(body, vec![selector.into(), name.into()]).await)
    }

    pub(crate) async fn element(&self, selector: &str) -> Element {
        let found = self.client.find(Locator::Css(selector)).await;
        match found {
            Ok(element) => element,
            Err(error) => panic!("{selector} at {}: {error}", self.address().await),
        }
    }

    /// Clicks what leads to another page, and waits for that page.
    pub(crate) async fn follow(&self, selector: &str) {
        self.js("window.isTheOneBefore = true").await;
        self.click(selector).await;
        self.wait_until("!window.isTheOneBefore && document.readyState === 'complete'").await;
    }

    /// Clicks what a selector finds first.
    pub(crate) async fn click(&self, selector: &str) {
        let clicked = self.element(selector).await.click().await;
        clicked.unwrap_or_else(|error| panic!("click {selector}: {error}"));
    }

    /// Puts a text into a field in place of what is there.
    pub(crate) async fn fill(&self, selector: &str, text: &str) {
        let field = self.element(selector).await;
        field.clear().await.expect("cleared");
        field.send_keys(text).await.expect("typed");
    }

    /// Sends keys to what has the focus.
    pub(crate) async fn press(&self, keys: &str) {
        let focused = self.client.active_element().await.expect("something has the focus");
        focused.send_keys(keys).await.unwrap_or_else(|error| panic!("press {keys:?}: {error}"));
    }

    /// The address that is shown.
    pub(crate) async fn address(&self) -> String {
        self.client.current_url().await.expect("an address").to_string()
    }

    /// Path and query of the address that is shown.
    pub(crate) async fn path(&self) -> String {
        let url = self.client.current_url().await.expect("an address");
        url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()))
    }

    /// Waits until an expression is true in the page that is shown then.
    pub(crate) async fn wait_until(&self, expression: &str) {
        let deadline = Instant::now() + APPEARS;
        let body = format!("return Boolean({expression})");
        loop {
            // The page may just be going: then there is no answer, and the next one has it.
            if self.client.execute(&body, Vec::new()).await.is_ok_and(|value| value == true) {
                return;
            }
            let shown = || async { format!("{} shows {:?}", self.address().await, self.texts("main").await) };
            assert!(Instant::now() < deadline, "wait for {expression}: {}", shown().await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What the page reported: violations of its policy, errors of its script, what did not load.
    pub(crate) async fn troubles(&self) -> Vec<String> {
        strings(&self.js("return window.troubles ?? ['the page has no report']").await)
    }

    /// By how many pixels the page, or at phone width a card in it, is wider than there is room.
    pub(crate) async fn overflow(&self, view: View) -> Vec<String> {
        let body = "
            const root = document.documentElement;
            const wide = root.scrollWidth > root.clientWidth ? [`the page by ${root.scrollWidth - root.clientWidth}`] : [];
            if (!arguments[0]) return wide;
            for (const card of document.querySelectorAll('.card, .tile, main'))
                if (card.scrollWidth > card.clientWidth + 1)
                    wide.push(`${card.className || 'main'} \"${card.innerText.slice(0, 30)}\" by ${card.scrollWidth - card.clientWidth}`);
            return wide;";
        strings(&self.js_with(body, vec![view.is_phone().into()]).await)
    }

    /// Keeps a picture of the whole page as `target/screenshots/<name>.png`.
    pub(crate) async fn screenshot(&self, name: &str) {
        let size = self
            .js("const root = document.documentElement; return [root.clientWidth, root.scrollHeight]")
            .await;
        let (width, height) = (size[0].as_u64().expect("a width"), size[1].as_u64().expect("a height"));
        let clip = json!({"x": 0, "y": 0, "width": width, "height": height.min(MAX_HEIGHT), "scale": 1});
        let params = json!({"format": "png", "captureBeyondViewport": true, "clip": clip});
        let shot = self.tools("Page.captureScreenshot", params).await;
        let png = STANDARD.decode(shot["data"].as_str().expect("a picture")).expect("base64");
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("screenshots");
        std::fs::create_dir_all(&directory).expect("a directory for screenshots");
        std::fs::write(directory.join(format!("{name}.png")), png).expect("write a screenshot");
    }

    /// Puts a token where signing in puts it.
    pub(crate) async fn set_session(&self, dashboard: &str, token: &str) {
        let url = Url::parse(dashboard).expect("an address");
        let cookie = json!({
            "name": "dataset_events_session", "value": token, "url": dashboard, "path": url.path(),
            "httpOnly": true, "sameSite": "Strict",
        });
        assert_eq!(self.tools("Network.setCookie", cookie).await["success"], true);
    }

    /// The names of the cookies that the page's address has.
    pub(crate) async fn cookies(&self) -> Vec<String> {
        let cookies = self.client.get_all_cookies().await.expect("cookies");
        cookies.iter().map(|cookie| cookie.name().to_owned()).collect()
    }
}

/// Where Chromium is.
fn chromium() -> String {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found =
        std::env::split_paths(&path).map(|directory| directory.join("chromium")).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{WHAT_IS_NEEDED}")).display().to_string()
}

/// An array of strings that a page answered.
fn strings(value: &Value) -> Vec<String> {
    let texts = value.as_array().unwrap_or_else(|| panic!("no array: {value}")).iter();
    texts.map(|text| text.as_str().unwrap_or_else(|| panic!("no text: {text}")).to_owned()).collect()
}
