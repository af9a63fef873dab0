//! The statements of the media engine.

use super::model::{MediaId, MediaInfo};
use crate::engines::nexus::{NexusError, ScopedTransaction};

/// Adds an object; `false` when the scope has it.
pub(super) fn insert(db: &ScopedTransaction<'_>, info: &MediaInfo) -> Result<bool, NexusError> {
    let sql = "INSERT INTO media_objects
                   (tenant_id, env, media_id, media_type, sniffed_type, size_bytes, stored_by, stored_at_us)
               VALUES (:tenant_id, :env, :media_id, :media_type, :sniffed_type, :size_bytes, :stored_by,
                       :stored_at_us)
               ON CONFLICT (tenant_id, env, media_id) DO NOTHING";
    let inserted = db.execute(
        "save an object",
        sql,
        &[
            (":media_id", &info.media_id.as_str()),
            (":media_type", &info.media_type),
            (":sniffed_type", &info.sniffed_type),
            (":size_bytes", &info.size_bytes),
            (":stored_by", &info.stored_by),
            (":stored_at_us", &info.stored_at_us),
        ],
    )?;
    Ok(inserted > 0)
}

pub(super) fn find(db: &ScopedTransaction<'_>, media_id: &MediaId) -> Result<Option<MediaInfo>, NexusError> {
    let sql = "SELECT media_type, sniffed_type, size_bytes, stored_by, stored_at_us FROM media_objects
               WHERE tenant_id = :tenant_id AND env = :env AND media_id = :media_id";
    db.row("read an object", sql, &[(":media_id", &media_id.as_str())], |row| {
        Ok(MediaInfo {
            media_id: media_id.clone(),
            media_type: row.get(0)?,
            sniffed_type: row.get(1)?,
            size_bytes: row.get(2)?,
            stored_by: row.get(3)?,
            stored_at_us: row.get(4)?,
        })
    })
}

pub(super) fn list(
    db: &ScopedTransaction<'_>,
    after: Option<&MediaId>,
    limit: u32,
) -> Result<Vec<MediaInfo>, NexusError> {
    const ACTION: &str = "list objects";
    let sql = "SELECT media_type, sniffed_type, size_bytes, stored_by, stored_at_us, media_id
               FROM media_objects
               WHERE tenant_id = :tenant_id AND env = :env AND media_id > :after
               ORDER BY media_id LIMIT :limit";
    let after = after.map_or("", MediaId::as_str);
    let rows = db.rows(ACTION, sql, &[(":after", &after), (":limit", &limit)], |row| {
        let media_id: String = row.get(5)?;
        Ok((media_id, row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
    })?;
    let info = |row: (String, _, _, _, _, _)| {
        let (media_id, media_type, sniffed_type, size_bytes, stored_by, stored_at_us) = row;
        let corrupt = NexusError::Corrupt { action: ACTION, column: "media_id" };
        let media_id = media_id.parse().map_err(|_| corrupt)?;
        Ok(MediaInfo { media_id, media_type, sniffed_type, size_bytes, stored_by, stored_at_us })
    };
    rows.into_iter().map(info).collect()
}
