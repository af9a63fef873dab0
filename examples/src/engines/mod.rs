//! The engines: the parts of a multi-tenant backend whose calls are recorded.
//!
//! Each reads and writes its own tables of one [`Nexus`], always in the scope of the request context,
//! and none of them reads the ledger: what they return is the same with and without one. The exception
//! is [`Bossman`], which shows the ledger and reads nothing else.

mod action;
mod blocking;
pub mod bossman;
pub mod budget;
pub mod chat;
pub mod gate;
pub mod kill_switch;
pub mod kpi;
pub mod media;
pub mod nexus;
pub mod strategy_lock;
pub mod temperature;
mod text;
mod to_its_end;
pub mod vector;

use std::path::PathBuf;
use std::sync::Arc;

pub use action::{ActionName, ActionPattern, Target};
pub use bossman::Bossman;
pub use budget::Budget;
pub use chat::Chat;
pub use gate::{Controls, LocalControls};
pub use kill_switch::KillSwitch;
pub use kpi::Kpis;
pub use media::Media;
pub use nexus::{Nexus, NexusError, Sources};
pub use strategy_lock::StrategyLock;
pub use temperature::Temperature;
pub use text::InvalidText;
pub use vector::Vector;

/// The engines over one database.
#[derive(Debug, Clone)]
pub struct Engines {
    /// Threads, messages, replies.
    pub chat: Chat,
    /// Policy and usage in decimal money.
    pub budget: Budget,
    /// Operators' switches that stop an engine.
    pub kill_switch: KillSwitch,
    /// Two persons' locks that stop actions.
    pub strategy_lock: StrategyLock,
    /// Named numbers with corridors.
    pub kpi: Kpis,
    /// How strained the KPIs are, with bounds.
    pub temperature: Temperature,
    /// What guarded actions pass before they are taken.
    pub gate: LocalControls,
    /// Objects under the hash of their bytes.
    pub media: Media,
    /// Texts found by likeness.
    pub vector: Vector,
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
        let strategy_lock = StrategyLock::new(nexus.clone());
        let kpi = Kpis::new(nexus.clone());
        let temperature = Temperature::new(nexus.clone());
        let gate = LocalControls::new(
            kill_switch.clone(),
            strategy_lock.clone(),
            budget.clone(),
            kpi.clone(),
            temperature.clone(),
        );
        let controls: Arc<dyn Controls> = Arc::new(gate.clone());
        let media = Media::new(nexus.clone(), Arc::clone(&controls));
        let vector = Vector::new(nexus.clone(), Arc::clone(&controls));
        let chat = Chat::new(nexus, controls);
        Self { chat, budget, kill_switch, strategy_lock, kpi, temperature, gate, media, vector }
    }
}

/// Who a stored row is by: the user, or the kind of actor when no user is known.
fn acting(ctx: &dataset_events::RequestContext) -> String {
    match ctx.user_id() {
        Some(user_id) => user_id.to_string(),
        None => format!("({})", ctx.actor_type().as_str()),
    }
}

/// Lower-case hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
