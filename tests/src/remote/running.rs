//! Servers that tests share, and servers of their own.

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use super::process::Server;
use crate::sink_contract;

/// The servers that the tests of a program share; they end with the program.
#[derive(Debug)]
pub struct Shared {
    start: fn() -> Server,
    most: usize,
    servers: Mutex<Vec<Arc<Server>>>,
}

impl Shared {
    /// At most `most` servers, each started when all before it are in use.
    pub const fn new(most: usize, start: fn() -> Server) -> Self {
        Self { start, most, servers: Mutex::new(Vec::new()) }
    }

    /// The server that the fewest use.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    pub fn get(&self) -> Arc<Server> {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        let least = servers.iter().min_by_key(|server| Arc::strong_count(server));
        match least {
            Some(server) if Arc::strong_count(server) == 1 || servers.len() == self.most => {
                Arc::clone(server)
            }
            _ => {
                let server = Arc::new((self.start)());
                servers.push(Arc::clone(&server));
                server
            }
        }
    }
}

/// A server, of one's own where it is killed.
#[derive(Debug)]
pub enum Running {
    /// One that other tests use, too.
    Shared(Arc<Server>),
    /// One that nobody else uses.
    Own(Server),
}

impl Running {
    /// As a server that can be killed, where it is one's own.
    pub fn own(&mut self) -> Option<&mut dyn sink_contract::Server> {
        match self {
            Self::Shared(_) => None,
            Self::Own(server) => Some(server),
        }
    }
}

impl Deref for Running {
    type Target = Server;

    fn deref(&self) -> &Server {
        match self {
            Self::Shared(server) => server,
            Self::Own(server) => server,
        }
    }
}

impl sink_contract::Server for Server {
    fn kill(&mut self) {
        Self::kill(self);
    }

    fn start(&mut self) {
        self.restart();
    }
}
