//! The dashboard over real HTTP: what its pages say, to whom, and what reading leaves behind.

#[path = "../over_http/mod.rs"]
mod over_http;

mod audit;
mod html;
mod isolation;
mod mounting;
mod operator;
mod pages;
mod paging;
mod panels;
mod patience;
mod session;
mod sinks;
mod stage;
mod watch;
