//! The guide of adoption: its service at each step, its tests, and that the guide quotes what is here.

mod admitted;
mod before;
mod desk;
mod first_step;
mod guide;
mod isolation;
mod mailer;
mod own_tests;
mod service;
mod start;
mod steps;

use std::error::Error;

type Main = fn() -> Result<(), Box<dyn Error>>;

/// They bind fixed ports and wait for a signal: compiled here, and run by whoever follows the guide.
const _: [Main; 4] = [before::main, first_step::main, admitted::main, service::main];
