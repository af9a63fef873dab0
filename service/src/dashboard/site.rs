//! What is the same on every page: addresses, assets, navigation.

use aws_lc_rs::digest::{SHA256, digest};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::html::address as html_address;

const CSS: &str = include_str!("assets/dashboard.css");
const JS: &str = include_str!("assets/dashboard.js");

/// The dashboard's place in the world.
#[derive(Debug, Clone)]
pub(super) struct Site {
    /// Where the router is mounted: empty, or a path that begins with `/` and does not end with one.
    pub(super) base: String,
    /// Addresses of the style and the script; their names hold their hashes.
    pub(super) css: String,
    pub(super) js: String,
    /// Id and title of each panel.
    pub(super) panels: Vec<(String, String)>,
}

fn hashed_name(content: &str, extension: &str) -> String {
    let digest = digest(&SHA256, content.as_bytes());
    let hex: String = digest.as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("dashboard.{hex}.{extension}")
}

impl Site {
    pub(super) fn new(base: String, panels: Vec<(String, String)>) -> Self {
        let asset = |content, extension| format!("{base}/assets/{}", hashed_name(content, extension));
        let (css, js) = (asset(CSS, "css"), asset(JS, "js"));
        Self { base, css, js, panels }
    }

    /// The address of a path below the base.
    pub(super) fn href(&self, path: &str) -> String {
        html_address(&self.base, path)
    }
}

/// Serves the style and the script under their names of now; any other name is 404.
pub(super) fn asset(name: &str) -> Response {
    let (content, media_type) = if name == hashed_name(CSS, "css") {
        (CSS, "text/css; charset=utf-8")
    } else if name == hashed_name(JS, "js") {
        (JS, "text/javascript; charset=utf-8")
    } else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    // The name changes with the content.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    (headers, content).into_response()
}
