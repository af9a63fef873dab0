//! What a dashboard is made of.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dataset_events::LedgerSet;
use dataset_events::read_models::SnapshotStore;
use thiserror::Error;

use super::desk::{DeskOptions, Desks};
use super::panel::Panel;
use super::site::Site;
use super::viewer::{NoOperators, OperatorAuthority};
use super::{Dashboard, Inner};

/// Why a dashboard cannot be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DashboardError {
    /// The base path is not one.
    #[error(
        "mount the dashboard at `{0}`: expected an empty path, or one like `/dashboard` of [A-Za-z0-9._-]"
    )]
    BasePath(String),
    /// A panel's id cannot be part of an address.
    #[error("add the panel `{0}`: an id is 1 to 40 of [a-z0-9-]")]
    PanelId(String),
    /// Two panels have the same id.
    #[error("add the panel `{0}`: there is one with the same id")]
    PanelTwice(String),
    /// The directory for snapshots cannot be used.
    #[error("open the directory of snapshots {}", .path.display())]
    Snapshots {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Builds a [`Dashboard`].
#[must_use = "a dashboard is made by `build()`"]
pub struct DashboardBuilder {
    set: LedgerSet,
    base: String,
    panels: Vec<Box<dyn Panel>>,
    authority: Box<dyn OperatorAuthority>,
    secure_cookie: Option<bool>,
    options: DeskOptions,
}

impl fmt::Debug for DashboardBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DashboardBuilder")
            .field("set", &self.set)
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

impl DashboardBuilder {
    pub(super) fn new(set: LedgerSet) -> Self {
        Self {
            set,
            base: String::new(),
            panels: Vec::new(),
            authority: Box::new(NoOperators),
            secure_cookie: None,
            options: DeskOptions {
                directory: None,
                max_scopes: 256,
                fresh_for: Duration::ZERO,
                patience: Duration::from_secs(10),
                max_stale: Duration::from_secs(60),
            },
        }
    }

    /// Where the router is mounted: the prefix of all links, and the path of the session's cookie. Defaults to
    /// the root.
    pub fn base_path(mut self, path: impl Into<String>) -> Self {
        self.base = path.into();
        self
    }

    /// Adds an engine's page. The navigation has the order in which they are added.
    pub fn panel(mut self, panel: impl Panel) -> Self {
        self.panels.push(Box::new(panel));
        self
    }

    /// Who may look at every scope. Defaults to nobody.
    pub fn operators(mut self, authority: impl OperatorAuthority) -> Self {
        self.authority = Box::new(authority);
        self
    }

    /// Keeps snapshots of read models in a directory. Without one, each start folds from the first event.
    pub fn snapshots(mut self, directory: impl Into<PathBuf>) -> Self {
        self.options.directory = Some(directory.into());
        self
    }

    /// For how many scopes read models are kept in memory. Defaults to 256; at least 1. The one that was not
    /// looked at for longest goes, with a snapshot.
    pub fn max_scopes(mut self, scopes: usize) -> Self {
        self.options.max_scopes = scopes;
        self
    }

    /// For how long a state is not refreshed again. Defaults to 0: each page shows what is readable when it is
    /// asked for. Pages that come at the same time share a refresh in any case.
    pub fn fresh_for(mut self, time: Duration) -> Self {
        self.options.fresh_for = time;
        self
    }

    /// How long a page waits for a reading that takes long. Defaults to 10 s. Then the last overview is shown
    /// while it is not older than [`max_stale`](Self::max_stale), else a page that says so and comes again.
    pub fn patience(mut self, time: Duration) -> Self {
        self.options.patience = time;
        self
    }

    /// How old an overview may be that is shown while a newer reading is under way. Defaults to 60 s.
    pub fn max_stale(mut self, time: Duration) -> Self {
        self.options.max_stale = time;
        self
    }

    /// Whether the cookie is sent over TLS alone. By default it is, unless the browser asks this machine by its
    /// own name (`localhost`, `127.0.0.1`).
    pub fn secure_cookie(mut self, is_secure: bool) -> Self {
        self.secure_cookie = Some(is_secure);
        self
    }

    /// Makes the dashboard.
    ///
    /// # Errors
    ///
    /// [`DashboardConfigError`](super::DashboardConfigError): a path or an id is not of the expected form, or the
    /// directory of snapshots cannot be used.
    pub fn build(self) -> Result<Dashboard, DashboardError> {
        let is_segment = |segment: &str| {
            !segment.is_empty()
                && segment != "."
                && segment != ".."
                && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        };
        let is_path = self.base.strip_prefix('/').is_some_and(|path| path.split('/').all(is_segment));
        if !self.base.is_empty() && !is_path {
            return Err(DashboardError::BasePath(self.base));
        }
        let mut ids = BTreeSet::new();
        for panel in &self.panels {
            let id = panel.id();
            let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            if !(1..=40).contains(&id.len()) || !id.bytes().all(is_allowed) {
                return Err(DashboardError::PanelId(id.to_owned()));
            }
            if !ids.insert(id) {
                return Err(DashboardError::PanelTwice(id.to_owned()));
            }
        }
        drop(ids);
        let store = match &self.options.directory {
            Some(path) => Some(
                SnapshotStore::open(path)
                    .map_err(|source| DashboardError::Snapshots { path: path.clone(), source })?,
            ),
            None => None,
        };
        let titles = self.panels.iter().map(|panel| (panel.id().to_owned(), panel.title().to_owned()));
        let site = Site::new(self.base, titles.collect());
        Ok(Dashboard {
            inner: Arc::new(Inner {
                set: self.set,
                site,
                panels: Arc::new(self.panels),
                desks: Desks::new(store, self.options),
                authority: self.authority,
                secure_cookie: self.secure_cookie,
            }),
        })
    }
}
