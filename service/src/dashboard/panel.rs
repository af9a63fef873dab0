//! The extension point: a page of an engine, made of blocks.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use dataset_events::read_models::{Folded, ReadModel, Window};
use dataset_events::{ReadError, Scope, SetScope, Unread};
use serde::Serialize;
use thiserror::Error;

use super::blocks::Block;
use super::models::ScopeModels;

/// A page of an engine.
///
/// It reads one scope, which was chosen and checked before, and says what it found as [`Block`]s; it never
/// makes HTML. The dashboard puts it into its navigation, audits each reading of it as one `ledger.read`
/// event, and serves the same blocks as JSON under `/api/panels/<id>`.
///
/// ```
/// use dataset_events::read_models::Activity;
/// use dataset_events_service::dashboard::{Block, Cell, Panel, PanelError, PanelRequest, Tile};
///
/// struct Deliveries;
///
/// impl Panel for Deliveries {
///     fn id(&self) -> &str {
///         "deliveries"
///     }
///
///     fn title(&self) -> &str {
///         "Deliveries"
///     }
///
///     fn render(&self, request: &PanelRequest<'_>) -> Result<Vec<Block>, PanelError> {
///         // Kept between requests, refreshed by what is new.
///         let counts = request.fold(Activity, |folded| {
///             folded.state().window(request.window(), request.end_us()).total
///         })?;
///         let sent = counts.by_surface.get("delivery.send").copied().unwrap_or_default();
///         Ok(vec![Block::tiles([Tile::new("Sent", Cell::count(sent.events))])])
///     }
/// }
/// ```
pub trait Panel: Send + Sync + 'static {
    /// The name in addresses: 1 to 40 of `[a-z0-9-]`, other than those of the dashboard's own pages.
    fn id(&self) -> &str;

    /// The title, and the text in the navigation.
    fn title(&self) -> &str;

    /// One sentence below the title.
    fn description(&self) -> &str {
        ""
    }

    /// Whether the page depends on the window. Defaults to yes; else the choice of one is not shown.
    fn has_windows(&self) -> bool {
        true
    }

    /// Reads the scope and says what it found. Runs on a blocking thread; must not look at the state of
    /// engines, only at events.
    ///
    /// # Errors
    ///
    /// [`PanelError`]; the client gets a page (or envelope) with its code, and nothing of the inside.
    fn render(&self, request: &PanelRequest<'_>) -> Result<Vec<Block>, PanelError>;
}

/// Why a panel could not be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PanelError {
    /// The scope cannot be read.
    #[error("read the scope's events")]
    Read(#[from] ReadError),
    /// Something else; the text is for the log of the program, never for the client.
    #[error("make the panel: {0}")]
    Failed(String),
}

/// What a panel is asked for.
pub struct PanelRequest<'a> {
    models: &'a ScopeModels,
    window: Window,
    end_us: i64,
    seen: Mutex<Seen>,
}

/// How fresh the answer is.
#[derive(Default)]
struct Seen {
    as_of: Option<i64>,
    events: u64,
    unread: Vec<Unread>,
}

impl<'a> PanelRequest<'a> {
    fn new(models: &'a ScopeModels, window: Window, end_us: i64) -> Self {
        Self { models, window, end_us, seen: Mutex::default() }
    }

    /// The scope.
    pub fn scope(&self) -> &Scope {
        self.models.reader().scope()
    }

    /// Reads events of the scope, in all ledgers. Queries cost what they select; for totals use
    /// [`fold`](Self::fold).
    pub fn reader(&self) -> &SetScope {
        self.models.reader()
    }

    /// The window that was asked for.
    pub fn window(&self) -> Window {
        self.window
    }

    /// The end of the window, exclusive, in microseconds since 1970 (UTC): now.
    pub fn end_us(&self) -> i64 {
        self.end_us
    }

    /// The beginning of the window; `None` for all time.
    pub fn from_us(&self) -> Option<i64> {
        self.window.len_us().map(|len_us| self.end_us.saturating_sub(len_us))
    }

    /// Folds what is new into a read model's state, and reads it.
    ///
    /// The state is kept for the scope between requests, with snapshots in the dashboard's directory; a model
    /// is told apart by its type and its config. Several models in a tuple are read in one pass. How fresh it is
    /// stands on the page by itself. `read` must not call `fold` for the same model.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when the scope cannot be read at all.
    pub fn fold<M: ReadModel, T>(
        &self,
        model: M,
        read: impl FnOnce(&Folded<M>) -> T,
    ) -> Result<T, ReadError> {
        self.models.fold(model, |folded| {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.as_of = seen.as_of.max(folded.as_of());
            seen.events = seen.events.max(folded.snapshot().events);
            for unread in &folded.last_refresh().unread {
                if !seen.unread.contains(unread) {
                    seen.unread.push(unread.clone());
                }
            }
            drop(seen);
            read(folded)
        })
    }
}

/// What a panel found, and how fresh it is.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct PanelAnswer {
    /// The blocks, in the order of the page.
    pub blocks: Vec<Block>,
    /// When the newest event that was folded was recorded, in microseconds since 1970 (UTC); `None` where
    /// the panel folds nothing, or nothing is there.
    pub as_of: Option<i64>,
    /// How many events of the scope were read into its models.
    pub events: u64,
    /// What could not be read; empty when the answer is complete.
    pub unread: Vec<Unread>,
}

/// Renders a panel over one scope, from zero and without a server: for its tests.
///
/// # Errors
///
/// As [`Panel::render`].
pub fn render_panel(
    panel: &dyn Panel,
    reader: &SetScope,
    window: Window,
    end_us: i64,
) -> Result<PanelAnswer, PanelError> {
    answer(panel, &ScopeModels::new(reader.clone(), None, Duration::ZERO), window, end_us)
}

pub(super) fn answer(
    panel: &dyn Panel,
    models: &ScopeModels,
    window: Window,
    end_us: i64,
) -> Result<PanelAnswer, PanelError> {
    let request = PanelRequest::new(models, window, end_us);
    let blocks = panel.render(&request)?;
    let Seen { as_of, events, unread } = request.seen.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(PanelAnswer { blocks, as_of, events, unread })
}

impl std::fmt::Debug for PanelRequest<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PanelRequest")
            .field("scope", self.scope())
            .field("window", &self.window)
            .field("end_us", &self.end_us)
            .finish_non_exhaustive()
    }
}
