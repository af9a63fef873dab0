//! The tables of the engines. Every primary key begins with tenant and env.

use rusqlite::Connection;

/// The steps from each version to the next; the first makes the tables in an empty file. A step that has
/// been released stays as it is; later ones are added at the end.
const STEPS: &[&str] = &[
    include_str!("schema/chat_budget_kill_switch.sql"),
    include_str!("schema/controls.sql"),
    include_str!("schema/media_vector.sql"),
];

/// The newest schema version; stored as `user_version`.
pub(super) const VERSION: i64 = STEPS.len() as i64;

/// Brings the file to [`VERSION`] in one transaction. `Err(Ok(found))` when the file is newer.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), Result<i64, rusqlite::Error>> {
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(Err)?;
    let found: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(Err)?;
    let done = usize::try_from(found).ok().filter(|done| *done <= STEPS.len()).ok_or(Ok(found))?;
    for step in &STEPS[done..] {
        transaction.execute_batch(step).map_err(Err)?;
    }
    transaction.pragma_update(None, "user_version", VERSION).map_err(Err)?;
    transaction.commit().map_err(Err)
}
