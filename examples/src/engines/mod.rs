//! The engines: the parts of a multi-tenant backend whose calls are recorded.
//!
//! Each reads and writes its own tables of one [`Nexus`], always in the scope of the request context,
//! and none of them reads the ledger: what they return is the same with and without one.

pub mod budget;
pub mod chat;
pub mod kill_switch;
pub mod nexus;

use std::path::PathBuf;

pub use budget::Budget;
pub use chat::Chat;
pub use kill_switch::KillSwitch;
pub use nexus::{Nexus, NexusError, Sources};

/// The engines over one database.
#[derive(Debug, Clone)]
pub struct Engines {
    /// Threads, messages, replies.
    pub chat: Chat,
    /// Policy and usage in decimal money.
    pub budget: Budget,
    /// Operators' switches that stop an engine.
    pub kill_switch: KillSwitch,
}

impl Engines {
    /// Opens the engines over the database file, which is made when absent.
    ///
    /// # Errors
    ///
    /// As [`Nexus::open`].
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, NexusError> {
        Ok(Self::over(Nexus::open(path, Sources::system())?))
    }

    /// The engines over an open database.
    pub fn over(nexus: Nexus) -> Self {
        let kill_switch = KillSwitch::new(nexus.clone());
        let budget = Budget::new(nexus.clone());
        let chat = Chat::new(nexus, kill_switch.clone(), budget.clone());
        Self { chat, budget, kill_switch }
    }
}

/// Who a stored row is by: the user, or the kind of actor when no user is known.
fn acting(ctx: &dataset_events::RequestContext) -> String {
    match ctx.user_id() {
        Some(user_id) => user_id.to_string(),
        None => format!("({})", ctx.actor_type().as_str()),
    }
}
