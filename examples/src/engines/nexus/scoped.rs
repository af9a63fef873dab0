//! A transaction of one scope: what the engines' statements run on.

use dataset_events::Scope;
use rusqlite::{CachedStatement, Row, ToSql, Transaction};

use super::error::NexusError;

/// Named parameters of a statement, without the scope's.
pub(crate) type Named<'a> = &'a [(&'static str, &'a dyn ToSql)];

/// A transaction that belongs to one scope.
///
/// It binds `:tenant_id` and `:env` itself and runs no statement that leaves one of them out, so that
/// a forgotten condition is an error and not another tenant's row.
#[derive(Debug)]
pub(crate) struct ScopedTransaction<'c> {
    transaction: Transaction<'c>,
    scope: Scope,
}

impl<'c> ScopedTransaction<'c> {
    pub(super) fn new(transaction: Transaction<'c>, scope: Scope) -> Self {
        Self { transaction, scope }
    }

    pub(super) fn commit(self) -> rusqlite::Result<()> {
        self.transaction.commit()
    }

    /// Runs a statement that changes rows; returns how many.
    pub(crate) fn execute(
        &self,
        action: &'static str,
        sql: &str,
        named: Named<'_>,
    ) -> Result<usize, NexusError> {
        let mut statement = self.bind(action, sql, named)?;
        statement.raw_execute().map_err(|source| NexusError::statement(action, source))
    }

    /// The one row of a query, if there is one.
    pub(crate) fn row<T>(
        &self,
        action: &'static str,
        sql: &str,
        named: Named<'_>,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, NexusError> {
        let mut statement = self.bind(action, sql, named)?;
        let mut rows = statement.raw_query();
        let row = rows.next().and_then(|row| row.map(read).transpose());
        row.map_err(|source| NexusError::statement(action, source))
    }

    /// All rows of a query.
    pub(crate) fn rows<T>(
        &self,
        action: &'static str,
        sql: &str,
        named: Named<'_>,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, NexusError> {
        let mut statement = self.bind(action, sql, named)?;
        let rows = statement.raw_query().mapped(read).collect::<rusqlite::Result<Vec<T>>>();
        rows.map_err(|source| NexusError::statement(action, source))
    }

    fn bind(
        &self,
        action: &'static str,
        sql: &str,
        named: Named<'_>,
    ) -> Result<CachedStatement<'_>, NexusError> {
        let failed = |source| NexusError::statement(action, source);
        let mut statement = self.transaction.prepare_cached(sql).map_err(failed)?;
        let scope = [(":tenant_id", self.scope.tenant_id().as_str()), (":env", self.scope.env().as_str())];
        for (name, value) in scope {
            let at = statement.parameter_index(name).map_err(failed)?;
            let at = at.ok_or(NexusError::Unscoped { action })?;
            statement.raw_bind_parameter(at, value).map_err(failed)?;
        }
        for (name, value) in named {
            let at = statement.parameter_index(name).map_err(failed)?;
            let at = at.ok_or_else(|| failed(rusqlite::Error::InvalidParameterName((*name).to_owned())))?;
            statement.raw_bind_parameter(at, value).map_err(failed)?;
        }
        Ok(statement)
    }
}

#[cfg(test)]
mod tests {
    use dataset_events::{Env, TenantId};
    use rusqlite::Connection;

    use super::*;

    #[test]
    fn a_statement_without_the_scope_is_not_run() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE t (tenant_id TEXT, env TEXT, x INTEGER)").unwrap();
        let scope = Scope::new(TenantId::from_static("acme"), Env::from_static("prod"));
        let db = ScopedTransaction::new(connection.transaction().unwrap(), scope);
        for sql in
            ["DELETE FROM t", "DELETE FROM t WHERE tenant_id = :tenant_id", "DELETE FROM t WHERE env = :env"]
        {
            let refused = db.execute("clear", sql, &[]);
            assert!(matches!(refused, Err(NexusError::Unscoped { action: "clear" })), "{sql}: {refused:?}");
        }
        let sql = "INSERT INTO t (tenant_id, env, x) VALUES (:tenant_id, :env, :x)";
        assert_eq!(db.execute("insert", sql, &[(":x", &7)]).unwrap(), 1);
        let sql = "SELECT tenant_id || '/' || env FROM t WHERE tenant_id = :tenant_id AND env = :env";
        let found: Option<String> = db.row("read", sql, &[], |row| row.get(0)).unwrap();
        assert_eq!(found.as_deref(), Some("acme/prod"));
    }
}
