//! The dashboard in Chromium: what its pages look like, whether everybody can use them, and that no recorded text
//! has an effect. Screenshots lie in `target/screenshots/`.
//!
//! Needs Chromium with its driver, and npm for axe-core: `apt-get install chromium chromium-driver npm`.

#[path = "../services_common/mod.rs"]
mod services_common;

mod axe;
mod browser;
mod hostile;
mod keyboard;
mod lists;
mod live;
mod looks;
mod session;
mod sinks;
mod stage;
mod workload;
