//! The statements of the chat engine.

use rusqlite::Row;

use super::image::ImageFormat;
use super::model::{Content, ImageInfo, Message, Role, Thread, ThreadId};
use crate::engines::nexus::{NexusError, ScopedTransaction};

/// A message before it has its place.
pub(super) struct NewMessage {
    pub(super) message_id: String,
    pub(super) role: Role,
    pub(super) author: String,
    pub(super) content: Content,
    pub(super) created_at_us: i64,
}

pub(super) fn insert_thread(db: &ScopedTransaction<'_>, thread: &Thread) -> Result<(), NexusError> {
    let sql = "INSERT INTO chat_threads
                   (tenant_id, env, thread_id, title, created_by, created_at_us, messages)
               VALUES (:tenant_id, :env, :thread_id, :title, :created_by, :created_at_us, :messages)";
    db.execute(
        "create a thread",
        sql,
        &[
            (":thread_id", &thread.thread_id.as_str()),
            (":title", &thread.title),
            (":created_by", &thread.created_by),
            (":created_at_us", &thread.created_at_us),
            (":messages", &thread.messages),
        ],
    )?;
    Ok(())
}

pub(super) fn thread(db: &ScopedTransaction<'_>, id: &ThreadId) -> Result<Option<Thread>, NexusError> {
    let sql = "SELECT title, created_by, created_at_us, messages FROM chat_threads
               WHERE tenant_id = :tenant_id AND env = :env AND thread_id = :thread_id";
    db.row("read a thread", sql, &[(":thread_id", &id.as_str())], |row| {
        Ok(Thread {
            thread_id: id.clone(),
            title: row.get(0)?,
            created_by: row.get(1)?,
            created_at_us: row.get(2)?,
            messages: row.get(3)?,
        })
    })
}

pub(super) fn threads(
    db: &ScopedTransaction<'_>,
    after: Option<&ThreadId>,
    limit: u32,
) -> Result<Vec<Thread>, NexusError> {
    const ACTION: &str = "list threads";
    let sql = "SELECT title, created_by, created_at_us, messages, thread_id FROM chat_threads
               WHERE tenant_id = :tenant_id AND env = :env AND thread_id > :after
               ORDER BY thread_id LIMIT :limit";
    let after = after.map_or("", ThreadId::as_str);
    let rows = db.rows(ACTION, sql, &[(":after", &after), (":limit", &limit)], |row| {
        let thread_id: String = row.get(4)?;
        Ok((thread_id, row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
    })?;
    let thread = |(thread_id, title, created_by, created_at_us, messages): (String, _, _, _, _)| {
        let corrupt = NexusError::Corrupt { action: ACTION, column: "thread_id" };
        let thread_id = thread_id.parse().map_err(|_| corrupt)?;
        Ok(Thread { thread_id, title, created_by, created_at_us, messages })
    };
    rows.into_iter().map(thread).collect()
}

/// Adds a message at the end of a thread; `None` when the scope has no such thread.
pub(super) fn append(
    db: &ScopedTransaction<'_>,
    thread_id: &ThreadId,
    new: NewMessage,
) -> Result<Option<Message>, NexusError> {
    let sql = "UPDATE chat_threads SET messages = messages + 1
               WHERE tenant_id = :tenant_id AND env = :env AND thread_id = :thread_id
               RETURNING messages";
    let position =
        db.row("count a message", sql, &[(":thread_id", &thread_id.as_str())], |row| row.get(0))?;
    let Some(position) = position else { return Ok(None) };
    let (body, image) = match &new.content {
        Content::Text(body) => (Some(body), None),
        Content::Image(image) => (None, Some(image)),
    };
    let sql = "INSERT INTO chat_messages
                   (tenant_id, env, thread_id, position, message_id, author, role, body,
                    image_format, image_width, image_height, image_bytes, image_sha256, created_at_us)
               VALUES (:tenant_id, :env, :thread_id, :position, :message_id, :author, :role, :body,
                       :image_format, :image_width, :image_height, :image_bytes, :image_sha256, :created_at_us)";
    db.execute(
        "save a message",
        sql,
        &[
            (":thread_id", &thread_id.as_str()),
            (":position", &position),
            (":message_id", &new.message_id),
            (":author", &new.author),
            (":role", &new.role.as_str()),
            (":body", &body),
            (":image_format", &image.map(|image| image.format.as_str())),
            (":image_width", &image.map(|image| image.width)),
            (":image_height", &image.map(|image| image.height)),
            (":image_bytes", &image.map(|image| image.size_bytes)),
            (":image_sha256", &image.map(|image| &image.sha256)),
            (":created_at_us", &new.created_at_us),
        ],
    )?;
    let NewMessage { message_id, role, author, content, created_at_us } = new;
    Ok(Some(Message { message_id, position, role, author, content, created_at_us }))
}

/// Messages after a position, oldest first.
pub(super) fn messages(
    db: &ScopedTransaction<'_>,
    thread_id: &ThreadId,
    after: u64,
    limit: u32,
) -> Result<Vec<Message>, NexusError> {
    let sql = "SELECT position, message_id, author, role, body,
                      image_format, image_width, image_height, image_bytes, image_sha256, created_at_us
               FROM chat_messages
               WHERE tenant_id = :tenant_id AND env = :env AND thread_id = :thread_id AND position > :after
               ORDER BY position LIMIT :limit";
    let named: [(&str, &dyn rusqlite::ToSql); 3] =
        [(":thread_id", &thread_id.as_str()), (":after", &after), (":limit", &limit)];
    let rows = db.rows("list messages", sql, &named, |row| Ok(message(row)))?;
    rows.into_iter().collect()
}

fn message(row: &Row<'_>) -> Result<Message, NexusError> {
    const ACTION: &str = "list messages";
    let failed = |source| NexusError::statement(ACTION, source);
    let corrupt = |column| NexusError::Corrupt { action: ACTION, column };
    let role: String = row.get(3).map_err(failed)?;
    let body: Option<String> = row.get(4).map_err(failed)?;
    let content = match body {
        Some(body) => Content::Text(body),
        None => {
            let format: String = row.get(5).map_err(failed)?;
            Content::Image(ImageInfo {
                format: ImageFormat::from_stored(&format).ok_or(corrupt("image_format"))?,
                width: row.get(6).map_err(failed)?,
                height: row.get(7).map_err(failed)?,
                size_bytes: row.get(8).map_err(failed)?,
                sha256: row.get(9).map_err(failed)?,
            })
        }
    };
    Ok(Message {
        position: row.get(0).map_err(failed)?,
        message_id: row.get(1).map_err(failed)?,
        author: row.get(2).map_err(failed)?,
        role: Role::from_stored(&role).ok_or(corrupt("role"))?,
        content,
        created_at_us: row.get(10).map_err(failed)?,
    })
}

/// The newest text of a user in a thread.
pub(super) fn last_user_text(
    db: &ScopedTransaction<'_>,
    thread_id: &ThreadId,
) -> Result<Option<String>, NexusError> {
    let sql = "SELECT body FROM chat_messages
               WHERE tenant_id = :tenant_id AND env = :env AND thread_id = :thread_id
                 AND role = 'user' AND body IS NOT NULL
               ORDER BY position DESC LIMIT 1";
    db.row("read the newest text", sql, &[(":thread_id", &thread_id.as_str())], |row| row.get(0))
}
