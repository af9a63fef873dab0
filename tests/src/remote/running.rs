//! Servers that tests share, and servers of their own.

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::process::Server;
use crate::sink_contract;

/// How long whoever waits for a server sleeps before it looks again.
const TICK: Duration = Duration::from_millis(20);

/// The servers that the tests of a program share; they end with the program.
#[derive(Debug)]
pub struct Shared {
    start: fn() -> Server,
    most: usize,
    most_users: usize,
    servers: Mutex<Vec<Arc<Server>>>,
}

impl Shared {
    /// At most `most` servers, each started when all before it are in use.
    pub const fn new(most: usize, start: fn() -> Server) -> Self {
        Self { start, most, most_users: usize::MAX, servers: Mutex::new(Vec::new()) }
    }

    /// Lets so many use a server at a time, and the others wait: `libtest` runs as many tests at once as there are
    /// cores, and the limits of time of a test are for a server that answers.
    ///
    /// A test that holds several must not be able to take the last of them all.
    #[must_use]
    pub const fn users(mut self, most_users: usize) -> Self {
        self.most_users = most_users;
        self
    }

    /// The server that the fewest use. Waits while every one has as many users as it may have.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    pub fn get(&self) -> Arc<Server> {
        loop {
            if let Some(server) = self.try_get() {
                return server;
            }
            thread::sleep(TICK);
        }
    }

    fn try_get(&self) -> Option<Arc<Server>> {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        let least = servers.iter().min_by_key(|server| Arc::strong_count(server));
        // One of those who hold it is this list.
        match least.map(|server| (server, Arc::strong_count(server) - 1)) {
            Some((server, users)) if users == 0 || servers.len() == self.most => {
                (users < self.most_users).then(|| Arc::clone(server))
            }
            _ => {
                let server = Arc::new((self.start)());
                servers.push(Arc::clone(&server));
                Some(server)
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
