//! All ports of a server behind proxies.

use super::process::Server;
use super::proxy::{Mode, Proxy};
use crate::sink_contract::{Fault, Network};

/// A network that fails as the checks of the contract ask.
#[derive(Debug)]
pub struct BrokenNetwork {
    proxies: Vec<Proxy>,
}

impl BrokenNetwork {
    /// Lies before a server. What is stored goes over the last of its ports; over the others it is only asked.
    pub fn to(server: &Server) -> Self {
        Self { proxies: server.ports().iter().map(|port| Proxy::to(*port)).collect() }
    }

    /// The ports of the proxies, in the order of the server's.
    pub fn ports(&self) -> Vec<u16> {
        self.proxies.iter().map(Proxy::port).collect()
    }

    /// Cuts every connection that is open, once; then nothing is broken.
    ///
    /// # Panics
    ///
    /// When one stays open.
    pub fn cut(&mut self) {
        for proxy in &self.proxies {
            proxy.cut();
        }
    }
}

impl Network for BrokenNetwork {
    fn set(&mut self, fault: Fault) {
        // Where answers are lost, those of what is stored are.
        let (asked, stored) = match fault {
            Fault::None => (Mode::Pass, Mode::Pass),
            Fault::Refuse => (Mode::Refuse, Mode::Refuse),
            Fault::DropAnswers => (Mode::Pass, Mode::DropAnswers),
            Fault::Hang => (Mode::Hang, Mode::Hang),
            Fault::CutInBatch => (Mode::Pass, Mode::RefuseAfterAnswer),
        };
        let last = self.proxies.len() - 1;
        for (at, proxy) in self.proxies.iter().enumerate() {
            proxy.set(if at == last { stored } else { asked });
        }
    }

    fn carried_bytes(&self) -> u64 {
        self.proxies.last().map_or(0, Proxy::carried_bytes)
    }
}
