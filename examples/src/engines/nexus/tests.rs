use dataset_events::DatasetEvent;
use dataset_events::testing::TestLedger;

use super::backend::READERS;
use super::*;

fn open(directory: &tempfile::TempDir) -> Result<Nexus, NexusError> {
    Nexus::open(directory.path().join("deep/engines.sqlite"), Sources::counted())
}

fn context() -> RequestContext {
    RequestContext::builder("acme", "prod").build().unwrap()
}

async fn add_usage(nexus: &Nexus, id: &'static str) -> Result<usize, NexusError> {
    let sql = "INSERT INTO budget_usage (tenant_id, env, usage_id, month, kind, amount, recorded_by, recorded_at_us)
               VALUES (:tenant_id, :env, :id, '2026-01', 'manual', '1', 'u_1', 0)";
    nexus.write(&context(), "add", move |db| db.execute("add", sql, &[(":id", &id)])).await
}

async fn count_usage(nexus: &Nexus) -> i64 {
    let sql = "SELECT count(*) FROM budget_usage WHERE tenant_id = :tenant_id AND env = :env";
    let count = nexus.read(&context(), "count", move |db| db.row("count", sql, &[], |row| row.get(0))).await;
    count.unwrap().unwrap()
}

#[tokio::test]
async fn state_is_there_when_the_file_is_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    add_usage(&open(&directory).unwrap(), "use_1").await.unwrap();
    assert_eq!(count_usage(&open(&directory).unwrap()).await, 1);
}

#[tokio::test]
async fn a_commit_waits_for_the_disk() {
    let directory = tempfile::tempdir().unwrap();
    let nexus = open(&directory).unwrap();
    let writer = nexus.inner.connections.writer.lock().await;
    let pragma = |name| writer.pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0));
    assert_eq!(pragma("journal_mode").unwrap(), "wal".to_owned().into());
    // FULL: SQLite fsyncs the write-ahead log at each commit.
    assert_eq!(pragma("synchronous").unwrap(), 2.into());
}

#[tokio::test]
async fn a_transaction_that_fails_or_panics_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let nexus = open(&directory).unwrap();
    add_usage(&nexus, "use_1").await.unwrap();
    let error = add_usage(&nexus, "use_1").await.unwrap_err();
    assert!(matches!(error, NexusError::Statement { action: "add", .. }), "{error}");

    let (inner, ctx) = (nexus.clone(), context());
    let panicked = tokio::spawn(async move {
        let sql = "DELETE FROM budget_usage WHERE tenant_id = :tenant_id AND env = :env";
        let deleted = inner.write(&ctx, "clear", move |db| -> Result<(), NexusError> {
            assert_eq!(db.execute("clear", sql, &[])?, 1);
            panic!("a bug in an engine");
        });
        deleted.await
    });
    assert!(panicked.await.unwrap_err().is_panic());
    assert_eq!(count_usage(&nexus).await, 1);
    add_usage(&nexus, "use_2").await.unwrap();
    assert_eq!(count_usage(&nexus).await, 2);
}

#[tokio::test]
async fn reads_go_on_after_more_panics_than_there_are_connections() {
    let directory = tempfile::tempdir().unwrap();
    let nexus = open(&directory).unwrap();
    for _ in 0..=READERS {
        let (nexus, ctx) = (nexus.clone(), context());
        let read = async move {
            let read =
                nexus.read(&ctx, "read", |_| -> Result<(), NexusError> { panic!("a bug in an engine") });
            read.await
        };
        assert!(tokio::spawn(read).await.unwrap_err().is_panic());
    }
    assert_eq!(count_usage(&nexus).await, 0);
}

#[tokio::test]
async fn a_transaction_that_has_begun_ends_even_if_its_caller_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let nexus = open(&directory).unwrap();
    let (began, begins) = tokio::sync::oneshot::channel::<()>();
    let (go_on, goes_on) = std::sync::mpsc::channel::<()>();
    let sql = "INSERT INTO budget_totals (tenant_id, env, month, kind, total, entries)
               VALUES (:tenant_id, :env, '2026-01', 'manual', '1', 1)";
    let ctx = context();
    let write = nexus.write(&ctx, "add", move |db| {
        began.send(()).unwrap();
        goes_on.recv().unwrap();
        db.execute("add", sql, &[])
    });
    tokio::select! {
        _ = write => panic!("the write cannot end before it may go on"),
        began = begins => began.unwrap(),
    }
    // The caller's future is dropped; the transaction still holds the writer.
    go_on.send(()).unwrap();
    add_usage(&nexus, "use_1").await.unwrap();
    let sql = "SELECT entries FROM budget_totals WHERE tenant_id = :tenant_id AND env = :env";
    let entries = nexus.read(&ctx, "read", move |db| db.row("read", sql, &[], |row| row.get::<_, i64>(0)));
    assert_eq!(entries.await.unwrap(), Some(1));
}

#[test]
fn a_file_of_a_later_version_or_of_another_kind_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(&directory).unwrap());
    let path = directory.path().join("deep/engines.sqlite");
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 7).unwrap();
    let error = open(&directory).unwrap_err();
    assert!(matches!(error, NexusError::NewerSchema { found: 7, .. }), "{error}");
    assert!(error.to_string().contains("use a later build"), "{error}");

    let text = directory.path().join("notes.txt");
    std::fs::write(&text, "not a database, but long enough to be taken for one\n".repeat(100)).unwrap();
    let error = Nexus::open(&text, Sources::system()).unwrap_err();
    assert!(matches!(error, NexusError::Open { .. }), "{error}");

    let error = Nexus::open(text.join("engines.sqlite"), Sources::system()).unwrap_err();
    assert!(matches!(error, NexusError::Folder { .. }), "{error}");
}

/// What an engine may fail with.
#[derive(Debug, thiserror::Error, ErrorCode)]
enum Refused {
    #[error("not now")]
    #[code("kpi.refused", status = 403)]
    NotNow,
    #[error("no data")]
    #[code("kpi.internal", status = 500)]
    Internal(#[from] NexusError),
}

fn ended(event: &DatasetEvent) -> (String, String, String) {
    let backend = event.input_value()["backend"].as_str().unwrap().to_owned();
    (event.surface.clone(), backend, format!("{} {}", event.outcome, event.code().unwrap_or("-")))
}

#[tokio::test]
async fn each_access_is_an_event_that_names_its_backend_and_how_it_ended() {
    let directory = tempfile::tempdir().unwrap();
    for (nexus, backend) in
        [(open(&directory).unwrap(), "sqlite"), (Nexus::in_memory(Sources::counted()).unwrap(), "memory")]
    {
        assert_eq!(nexus.backend().as_str(), backend);
        assert_eq!(nexus.path().is_some(), backend == "sqlite");
        let ledger = TestLedger::new();
        let ctx = ledger.context("acme", "prod").build().unwrap();
        let sql = "DELETE FROM budget_totals WHERE tenant_id = :tenant_id AND env = :env";
        nexus.write(&ctx, "clear", move |db| db.execute("clear", sql, &[])).await.unwrap();
        let refused = nexus.write(&ctx, "clear", |_| Err::<(), _>(Refused::NotNow)).await;
        assert!(matches!(refused, Err(Refused::NotNow)), "{refused:?}");
        let broken = "DELETE FROM nothing WHERE tenant_id = :tenant_id AND env = :env";
        let failed =
            nexus.write(&ctx, "clear", move |db| Ok::<_, Refused>(db.execute("clear", broken, &[])?));
        assert!(matches!(failed.await, Err(Refused::Internal(NexusError::Statement { .. }))));
        let sql = "SELECT 1 FROM budget_totals WHERE tenant_id = :tenant_id AND env = :env";
        let read = nexus.read(&ctx, "look", move |db| db.row("look", sql, &[], |row| row.get::<_, i64>(0)));
        assert_eq!(read.await.unwrap(), None);
        let unscoped =
            nexus.read(&ctx, "look", |db| db.row("look", "SELECT 1", &[], |row| row.get::<_, i64>(0)));
        assert!(matches!(unscoped.await, Err(NexusError::Unscoped { action: "look" })));

        let endings: Vec<_> = ledger.events().iter().map(ended).collect();
        let endings: Vec<(&str, &str, &str)> =
            endings.iter().map(|(surface, named, end)| (&**surface, &**named, &**end)).collect();
        assert_eq!(
            endings,
            [
                ("nexus.write", backend, "ok -"),
                ("nexus.write", backend, "denied kpi.refused"),
                ("nexus.write", backend, "error nexus.statement_failed"),
                ("nexus.read", backend, "ok -"),
                ("nexus.read", backend, "error nexus.unscoped"),
            ]
        );
    }
}

#[tokio::test]
async fn a_database_in_memory_is_shared_by_clones_and_rolls_back() {
    let nexus = Nexus::in_memory(Sources::counted()).unwrap();
    add_usage(&nexus, "use_1").await.unwrap();
    let (clone, ctx) = (nexus.clone(), context());
    let refused = clone.write(&ctx, "clear", |db| {
        let sql = "DELETE FROM budget_usage WHERE tenant_id = :tenant_id AND env = :env";
        assert_eq!(db.execute("clear", sql, &[])?, 1);
        Err::<(), _>(Refused::NotNow)
    });
    assert!(matches!(refused.await, Err(Refused::NotNow)));
    assert_eq!(count_usage(&nexus).await, 1);
    assert_eq!(count_usage(&Nexus::in_memory(Sources::counted()).unwrap()).await, 0);
}

#[test]
fn a_file_that_another_connection_writes_is_busy_and_worth_a_retry() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("t.sqlite");
    let (mut first, mut second) = (Connection::open(&path).unwrap(), Connection::open(&path).unwrap());
    second.busy_timeout(std::time::Duration::ZERO).unwrap();
    let _held = first.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
    let source = second.transaction_with_behavior(TransactionBehavior::Immediate).unwrap_err();
    let error = NexusError::statement("save", source);
    assert!(matches!(error, NexusError::Busy { action: "save", .. }), "{error}");
    assert!(error.code().is_retryable());
}

#[tokio::test]
async fn a_file_of_the_first_version_is_brought_up_to_date_and_keeps_its_rows() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("deep")).unwrap();
    let old = Connection::open(directory.path().join("deep/engines.sqlite")).unwrap();
    old.execute_batch(include_str!("schema/chat_budget_kill_switch.sql")).unwrap();
    old.pragma_update(None, "user_version", 1).unwrap();
    let sql = "INSERT INTO budget_usage VALUES ('acme', 'prod', 'use_0', '2026-01', 'manual', '1', 'u_1', 0)";
    old.execute(sql, []).unwrap();
    drop(old);
    let nexus = open(&directory).unwrap();
    add_usage(&nexus, "use_1").await.unwrap();
    assert_eq!(count_usage(&nexus).await, 2);
    let sql = "SELECT count(*) FROM strategy_locks WHERE tenant_id = :tenant_id AND env = :env";
    let locks = nexus.read(&context(), "count", move |db| db.row("count", sql, &[], |row| row.get(0))).await;
    assert_eq!(locks.unwrap(), Some(0_i64));
}
