//! The media: objects under the hash of their bytes, with what the bytes show them to be.
//!
//! Bytes are files, what is known of them is in the engine's table. The ledger gets hash, size and type,
//! never the bytes. The files are not reached through the nexus: calls that use them name what keeps the bytes,
//! as an access of the nexus names its backend.

mod error;
mod files;
mod model;
mod sniff;
mod state;

use std::path::PathBuf;
use std::sync::Arc;

use dataset_events::{RequestContext, current, dataset_event};

use super::ActionName;
use super::blocking::blocking;
use super::gate::{Action, Controls};
use super::nexus::{Nexus, NexusError};
pub use error::{FileError, MediaError};
use files::Files;
pub use model::{Damage, Fetched, InvalidMediaId, MAX_BYTES, MAX_PAGE, MediaId, MediaInfo, Stored};

const STORE: ActionName = ActionName::from_static("media.store");

/// The media engine.
#[derive(Debug, Clone)]
pub struct Media {
    nexus: Nexus,
    controls: Arc<dyn Controls>,
    files: Files,
}

impl Media {
    /// The media over its data, behind controls that are in this process or in another.
    ///
    /// Bytes are kept in the folder `<database file>.media`, which is made with the first of them; beside a
    /// database in memory they are in memory.
    pub fn new(nexus: Nexus, controls: Arc<dyn Controls>) -> Self {
        let folder = nexus.path().map(|path| {
            let mut folder = path.as_os_str().to_owned();
            folder.push(".media");
            PathBuf::from(folder)
        });
        Self { nexus, controls, files: Files::new(folder) }
    }

    /// Stores bytes under their hash. The same bytes again are the same object, and are kept once.
    ///
    /// `declared` is the media type that the uploader says they have; parameters such as a charset are left
    /// out. Bytes are in their file, fsynced, before the object is in the table: what goes wrong between
    /// the two leaves a file that the next upload of the same bytes uses.
    ///
    /// # Errors
    ///
    /// - `media.empty`, `media.too_large`: no bytes, or more than [`MAX_BYTES`].
    /// - `media.invalid_type`: what was declared is no media type.
    /// - `media.type_mismatch`: what was declared contradicts what the bytes show.
    /// - `kill_switch.blocked`, `strategy_lock.blocked`, `kpi.out_of_corridor`, `temperature.breached`, and the
    ///   failures of the controls: the gate does not let the action pass.
    /// - `media.storage_failed`: the bytes could not be written.
    /// - `media.internal`: the database failed.
    #[dataset_event(
        surface = "media.store",
        access = "create",
        input(
            size_bytes = bytes.len(),
            has_declared_type = declared.is_some(),
            backend = self.files.backend(),
        ),
        output(
            media_id = ret.info.media_id,
            media_type = ret.info.media_type,
            is_new = ret.is_new,
            is_repaired = ret.is_repaired,
        ),
    )]
    pub async fn store(
        &self,
        ctx: &RequestContext,
        bytes: &[u8],
        declared: Option<&str>,
    ) -> Result<Stored, MediaError> {
        if bytes.is_empty() {
            return Err(MediaError::Empty);
        }
        if bytes.len() > MAX_BYTES {
            return Err(MediaError::TooLarge { len_bytes: bytes.len() });
        }
        let declared = match declared {
            None => None,
            Some(text) => {
                Some(sniff::essence(text).ok_or(MediaError::InvalidType { len_bytes: text.len() })?)
            }
        };
        let bytes: Arc<[u8]> = bytes.into();
        let (content, named) = (Arc::clone(&bytes), declared.clone());
        let examined = off("examine an upload", move || {
            let sniffed = sniff::sniff(&content);
            (MediaId::of(&content), sniffed, sniff::agree(named.as_deref(), sniffed, &content))
        });
        let (media_id, sniffed, agreed) = examined.await?;
        current().source_ref("media", &media_id).output("sniffed_type", sniffed);
        let Some(media_type) = agreed else {
            let declared = declared.unwrap_or_default();
            return Err(MediaError::TypeMismatch { declared, sniffed });
        };
        self.controls.pass(ctx, &Action::free(STORE)).await?;
        let info = MediaInfo {
            media_id,
            media_type,
            sniffed_type: sniffed.to_owned(),
            size_bytes: bytes.len() as u64,
            stored_by: super::acting(ctx),
            stored_at_us: self.nexus.now_us(),
        };
        let is_written = self.write(ctx, &info.media_id, bytes).await?;
        let saved = self.nexus.write(ctx, "save an object", move |db| {
            if state::insert(db, &info)? {
                return Ok(Stored { info, is_new: true, is_repaired: false });
            }
            let stored = state::find(db, &info.media_id)?.unwrap_or(info);
            Ok::<_, MediaError>(Stored { info: stored, is_new: false, is_repaired: is_written })
        });
        saved.await
    }

    /// The bytes of an object, after their hash was compared with its id.
    ///
    /// # Errors
    ///
    /// - `media.not_found`: the scope has no such object.
    /// - `media.corrupt`: the stored bytes are missing or changed.
    /// - `media.storage_failed`: the bytes could not be read.
    /// - `media.internal`: the database failed.
    #[dataset_event(
        surface = "media.fetch",
        access = "read",
        input(media_id, backend = self.files.backend()),
        output(media_type = ret.info.media_type, size_bytes = ret.info.size_bytes),
        source_refs(media = media_id),
    )]
    pub async fn fetch(&self, ctx: &RequestContext, media_id: &MediaId) -> Result<Fetched, MediaError> {
        let info = self.find(ctx, media_id).await?;
        let bytes = self.read(ctx, media_id).await?;
        Ok(Fetched { info, bytes })
    }

    /// Hashes the stored bytes of an object again. Answers what is known of it when they are unchanged.
    ///
    /// # Errors
    ///
    /// As [`fetch`](Self::fetch).
    #[dataset_event(
        surface = "media.verify",
        access = "read",
        input(media_id, backend = self.files.backend()),
        output(size_bytes = ret.size_bytes),
        source_refs(media = media_id),
    )]
    pub async fn verify(&self, ctx: &RequestContext, media_id: &MediaId) -> Result<MediaInfo, MediaError> {
        let info = self.find(ctx, media_id).await?;
        self.read(ctx, media_id).await?;
        Ok(info)
    }

    /// The objects of the scope by id, after `after`, at most `limit` (1 to [`MAX_PAGE`]).
    ///
    /// # Errors
    ///
    /// - `media.invalid_page`: `limit` is 0 or too large.
    /// - `media.internal`: the database failed.
    #[dataset_event(
        surface = "media.list",
        access = "read",
        input(after, limit),
        output(count = ret.len()),
    )]
    pub async fn list(
        &self,
        ctx: &RequestContext,
        after: Option<&MediaId>,
        limit: u32,
    ) -> Result<Vec<MediaInfo>, MediaError> {
        if !(1..=MAX_PAGE).contains(&limit) {
            return Err(MediaError::InvalidPage { limit });
        }
        let after = after.cloned();
        let read = self.nexus.read(ctx, "list objects", move |db| {
            state::list(db, after.as_ref(), limit).map_err(MediaError::from)
        });
        read.await
    }

    /// The file of an object of the context's scope, for a backup or a test of one; `None` in memory.
    pub fn path(&self, ctx: &RequestContext, media_id: &MediaId) -> Option<PathBuf> {
        self.files.path(ctx.scope(), media_id)
    }

    async fn find(&self, ctx: &RequestContext, media_id: &MediaId) -> Result<MediaInfo, MediaError> {
        let media_id = media_id.clone();
        let read = self.nexus.read(ctx, "look for an object", move |db| match state::find(db, &media_id)? {
            Some(info) => Ok(info),
            None => Err(MediaError::NotFound { media_id }),
        });
        read.await
    }

    async fn read(&self, ctx: &RequestContext, media_id: &MediaId) -> Result<Vec<u8>, MediaError> {
        let (files, scope, id) = (self.files.clone(), ctx.scope().clone(), media_id.clone());
        let read = off("read an object", move || files.read(&scope, &id)).await?;
        read?.map_err(|damage| MediaError::Corrupt { media_id: media_id.clone(), damage })
    }

    /// Puts the bytes into their file, unless they are in it; answers whether it wrote.
    async fn write(&self, ctx: &RequestContext, id: &MediaId, bytes: Arc<[u8]>) -> Result<bool, MediaError> {
        let (files, scope, id) = (self.files.clone(), ctx.scope().clone(), id.clone());
        let written = off("write an object", move || match files.read(&scope, &id)? {
            Ok(_) => Ok(false),
            Err(_) => files.write(&scope, &id, bytes).map(|()| true),
        });
        Ok(written.await??)
    }
}

/// Runs `body` off the executor's threads.
async fn off<T: Send + 'static>(
    action: &'static str,
    body: impl FnOnce() -> T + Send + 'static,
) -> Result<T, NexusError> {
    blocking(body).await.ok_or(NexusError::ShuttingDown { action })
}
