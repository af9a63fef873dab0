use super::*;

fn open(directory: &tempfile::TempDir) -> Result<Store, StoreError> {
    Store::open(directory.path().join("deep/engines.sqlite"), Sources::counted())
}

fn context() -> RequestContext {
    RequestContext::builder("acme", "prod").build().unwrap()
}

async fn add_usage(store: &Store, id: &'static str) -> Result<usize, StoreError> {
    let sql = "INSERT INTO budget_usage (tenant_id, env, usage_id, month, kind, amount, recorded_by, recorded_at_us)
               VALUES (:tenant_id, :env, :id, '2026-01', 'manual', '1', 'u_1', 0)";
    store.write(&context(), "add", move |db| db.execute("add", sql, &[(":id", &id)])).await
}

async fn count_usage(store: &Store) -> i64 {
    let sql = "SELECT count(*) FROM budget_usage WHERE tenant_id = :tenant_id AND env = :env";
    let count = store.read(&context(), "count", move |db| db.row("count", sql, &[], |row| row.get(0))).await;
    count.unwrap().unwrap()
}

#[tokio::test]
async fn state_is_there_when_the_file_is_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    add_usage(&open(&directory).unwrap(), "use_1").await.unwrap();
    assert_eq!(count_usage(&open(&directory).unwrap()).await, 1);
}

#[tokio::test]
async fn a_transaction_that_fails_or_panics_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).unwrap();
    add_usage(&store, "use_1").await.unwrap();
    let error = add_usage(&store, "use_1").await.unwrap_err();
    assert!(matches!(error, StoreError::Statement { action: "add", .. }), "{error}");

    let (inner, ctx) = (store.clone(), context());
    let panicked = tokio::spawn(async move {
        let sql = "DELETE FROM budget_usage WHERE tenant_id = :tenant_id AND env = :env";
        let deleted = inner.write(&ctx, "clear", move |db| -> Result<(), StoreError> {
            assert_eq!(db.execute("clear", sql, &[])?, 1);
            panic!("a bug in an engine");
        });
        deleted.await
    });
    assert!(panicked.await.unwrap_err().is_panic());
    assert_eq!(count_usage(&store).await, 1);
    add_usage(&store, "use_2").await.unwrap();
    assert_eq!(count_usage(&store).await, 2);
}

#[tokio::test]
async fn reads_go_on_after_more_panics_than_there_are_connections() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).unwrap();
    for _ in 0..=READERS {
        let (store, ctx) = (store.clone(), context());
        let read = async move {
            let read =
                store.read(&ctx, "read", |_| -> Result<(), StoreError> { panic!("a bug in an engine") });
            read.await
        };
        assert!(tokio::spawn(read).await.unwrap_err().is_panic());
    }
    assert_eq!(count_usage(&store).await, 0);
}

#[tokio::test]
async fn a_transaction_that_has_begun_ends_even_if_its_caller_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).unwrap();
    let (began, begins) = tokio::sync::oneshot::channel::<()>();
    let (go_on, goes_on) = std::sync::mpsc::channel::<()>();
    let sql = "INSERT INTO budget_totals (tenant_id, env, month, kind, total, entries)
               VALUES (:tenant_id, :env, '2026-01', 'manual', '1', 1)";
    let ctx = context();
    let write = store.write(&ctx, "add", move |db| {
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
    add_usage(&store, "use_1").await.unwrap();
    let sql = "SELECT entries FROM budget_totals WHERE tenant_id = :tenant_id AND env = :env";
    let entries = store.read(&ctx, "read", move |db| db.row("read", sql, &[], |row| row.get::<_, i64>(0)));
    assert_eq!(entries.await.unwrap(), Some(1));
}

#[test]
fn a_file_of_a_later_version_or_of_another_kind_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(&directory).unwrap());
    let path = directory.path().join("deep/engines.sqlite");
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 7).unwrap();
    let error = open(&directory).unwrap_err();
    assert!(matches!(error, StoreError::NewerSchema { found: 7, .. }), "{error}");
    assert!(error.to_string().contains("use a later build"), "{error}");

    let text = directory.path().join("notes.txt");
    std::fs::write(&text, "not a database, but long enough to be taken for one\n".repeat(100)).unwrap();
    let error = Store::open(&text, Sources::system()).unwrap_err();
    assert!(matches!(error, StoreError::Open { .. }), "{error}");

    let error = Store::open(text.join("engines.sqlite"), Sources::system()).unwrap_err();
    assert!(matches!(error, StoreError::Folder { .. }), "{error}");
}
