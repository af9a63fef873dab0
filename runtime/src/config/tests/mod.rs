//! What configurations are read as, and how they are refused.

mod documented;
mod errors;
mod layers;
#[cfg(feature = "otlp")]
mod reload;
mod sinks;
mod tables;

use super::{Config, ConfigError};

/// The problems of a text of TOML, a line each.
fn problems(text: &str) -> Vec<String> {
    problems_of(Config::builder().toml("x.toml", text).build())
}

fn problems_of(built: Result<Config, ConfigError>) -> Vec<String> {
    let error = built.expect_err("a configuration that cannot be used");
    error.problems().iter().map(ToString::to_string).collect()
}
