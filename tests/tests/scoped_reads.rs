//! What a scope sees of a real ledger, what it never sees, and what the operator sees.

use dataset_events::testing::TestLedger;
use dataset_events::{
    ActorType, Code, Env, ErrorCode, Events, LedgerReader, Outcome, ReadError, RebuildError, RequestContext,
    RequestId, ScopedReader, TenantId, UserId, dataset_event, rebuild_index,
};

#[derive(Debug)]
struct Refused;

impl ErrorCode for Refused {
    fn code(&self) -> Code {
        const { Code::new("orders.refused").status(403) }
    }
}

#[dataset_event(surface = "orders.create", input(note))]
fn create(ctx: &RequestContext, note: &str, is_allowed: bool) -> Result<(), Refused> {
    if is_allowed { Ok(()) } else { Err(Refused) }
}

#[dataset_event(surface = "orders.items.list", access = "read")]
fn list(ctx: &RequestContext) {}

const PROD: Env = Env::from_static("prod");

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

fn surfaces(events: Events) -> Vec<String> {
    events.map(|event| event.unwrap().event.surface).collect()
}

#[test]
fn a_call_is_read_back_after_flush_by_each_filter() {
    let test = TestLedger::new();
    let ctx = test.context("acme", "prod").user_id("u_1").request_id("r-1").build().unwrap();
    let other = test.context("acme", "prod").user_id("u_2").build().unwrap();
    create(&ctx, "one", true).unwrap();
    create(&ctx, "two", false).unwrap_err();
    create(&other, "three", true).unwrap();
    list(&other);
    test.flush();
    let reader = test.ledger().scope(&tenant("acme"), &PROD);
    let all = ["orders.create", "orders.create", "orders.create", "orders.items.list"];
    assert_eq!(surfaces(reader.events().iter()), all);
    assert_eq!(surfaces(reader.events().surface("orders.items.*").iter()), ["orders.items.list"]);
    assert_eq!(reader.events().surface("orders.*").count().unwrap(), 4);
    assert_eq!(reader.events().outcome(Outcome::Denied).count().unwrap(), 1);
    let denied = reader.events().code("orders.refused").iter().next().unwrap().unwrap();
    assert_eq!((denied.event.seq, denied.event.outcome), (2, Outcome::Denied));
    assert_eq!(reader.events().user(&UserId::new("u_1").unwrap()).count().unwrap(), 2);
    assert_eq!(reader.events().request(&RequestId::new("r-1").unwrap()).count().unwrap(), 2);
    assert_eq!(reader.events().trace(ctx.trace_id()).newest_first().page(1).unwrap().next, Some(2));
    let from = denied.event.recorded_at;
    assert_eq!(reader.events().since(from).count().unwrap(), 3);
    assert_eq!(reader.events().until(from).count().unwrap(), 1);
    assert_eq!(reader.head().unwrap().unwrap().seq, 4);
    let elsewhere = test.ledger().scope(&tenant("acme"), &Env::from_static("test"));
    assert_eq!(elsewhere.events().count().unwrap(), 0);
    assert!(elsewhere.head().unwrap().is_none());
}

#[test]
fn a_hundred_tenants_see_only_their_own_canary() {
    let test = TestLedger::new();
    let envs = ["prod", "staging", "test"];
    let names: Vec<String> = (0..100).map(|number| format!("tenant-{number:03}")).collect();
    for round in 0..67 {
        for name in &names {
            for env in envs {
                let ctx = test.context(name, env).build().unwrap();
                let _ = create(&ctx, &format!("canary-{name}-{env}-"), round % 7 != 0);
            }
        }
        // On a busy machine the journal would fill up else, and shed.
        test.flush();
    }
    for name in &names {
        for env in envs {
            let reader = test.ledger().scope(&tenant(name), &Env::new(env).unwrap());
            let own = format!("canary-{name}-{env}-");
            let mut seen = 0;
            for event in reader.events().iter() {
                let line = event.unwrap().line;
                assert_eq!(line.matches("canary-").count(), 1);
                assert!(line.contains(&own), "{name}/{env} was given {line}");
                seen += 1;
            }
            assert_eq!(seen, 67);
            assert_eq!(reader.events().outcome(Outcome::Denied).count().unwrap(), 10);
        }
    }
    assert_eq!(test.ledger().operator("count").events().surface("orders.*").count().unwrap(), 20_100);
}

#[test]
fn opening_an_operator_reader_is_an_event_with_its_reason() {
    let test = TestLedger::new();
    let ctx = test.context("acme", "prod").build().unwrap();
    list(&ctx);
    let reason = format!("ticket \"42\" \u{1f9ea}{}", "x".repeat(2_000));
    let operator = test.ledger().operator(&reason);
    test.flush();
    let opened = operator.system().events().surface("ledger.operator_opened").iter().next();
    let opened = opened.unwrap().unwrap().event;
    let recorded = opened.input_value()["reason"].as_str().unwrap().to_owned();
    assert!(recorded.len() <= 1_024 && recorded.len() > 1_000 && reason.starts_with(&recorded));
    let scopes = operator.scopes().unwrap();
    let names: Vec<String> = scopes.iter().map(|scope| scope.scope.to_string()).collect();
    assert_eq!(names, ["$system/$system", "acme/prod"]);
    assert_eq!(scopes[1].events, 1);
    let in_log_order: Vec<_> = operator.events().iter().map(|event| event.unwrap().position).collect();
    assert!(in_log_order.is_sorted() && in_log_order.len() >= 3);
    let newest = operator.events().newest_first().limit(1).iter().next().unwrap().unwrap();
    assert_eq!(Some(&newest.position), in_log_order.last());
}

#[test]
fn reads_go_on_over_a_reopen_and_after_a_close() {
    let mut test = TestLedger::on_disk();
    let ctx = test.context("acme", "prod").build().unwrap();
    create(&ctx, "before", true).unwrap();
    drop(ctx);
    test.reopen();
    let ctx = test.context("acme", "prod").build().unwrap();
    create(&ctx, "after", true).unwrap();
    test.flush();
    let reader = test.ledger().scope(&tenant("acme"), &PROD);
    let notes = || -> Vec<String> {
        let inputs = reader.events().iter().map(|event| event.unwrap().event.input_value());
        inputs.map(|input| input["note"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(notes(), ["before", "after"]);
    assert!(test.ledger().index_health().is_ok);
    test.ledger().clone().close().unwrap();
    assert_eq!(notes(), ["before", "after"]);
}

/// Every filter by index and by a scan of the same directory, while the ledger is open.
#[test]
fn another_process_reads_the_same_by_scanning() {
    let test = TestLedger::on_disk();
    for number in 0..300 {
        let user = format!("u_{}", number % 3);
        let tenant = ["acme", "globex"][number % 2];
        let ctx = test.context(tenant, "prod").user_id(user).build().unwrap();
        let _ = create(&ctx, "note", number % 5 != 0);
        list(&ctx);
    }
    test.flush();
    let directory = test.ledger().path().unwrap();
    let outside = LedgerReader::open(directory).unwrap();
    assert_eq!(outside.id(), test.ledger().id());
    let lines = |events: Events| events.map(|event| event.unwrap().line).collect::<Vec<_>>();
    for name in ["acme", "globex", "nobody"] {
        let inside = test.ledger().scope(&tenant(name), &PROD);
        let outside = outside.scope(&tenant(name), &PROD);
        assert_eq!(inside.head().unwrap(), outside.head().unwrap());
        assert_eq!(lines(inside.events().iter()), lines(outside.events().iter()));
        let user = UserId::new("u_1").unwrap();
        let query =
            |reader: &ScopedReader| reader.events().user(&user).outcome(Outcome::Denied).newest_first();
        assert_eq!(lines(query(&inside).iter()), lines(query(&outside).iter()));
        assert_eq!(query(&inside).count().unwrap(), query(&outside).count().unwrap());
    }
    let operator = outside.unrecorded_operator();
    assert!(operator.events().count().unwrap() >= 600);
    assert_eq!(operator.system().events().surface("ledger.operator_opened").count().unwrap(), 0);
    let error = LedgerReader::open(directory.parent().unwrap()).unwrap_err();
    assert!(matches!(error, ReadError::NotALedger { .. }), "{error}");
}

#[test]
fn a_lost_index_is_built_again_by_opening_and_by_hand() {
    let mut test = TestLedger::on_disk();
    let ctx = test.context("acme", "prod").build().unwrap();
    for _ in 0..100 {
        list(&ctx);
    }
    drop(ctx);
    test.flush();
    let directory = test.ledger().path().unwrap().to_owned();
    let error = rebuild_index(&directory).unwrap_err();
    assert!(matches!(error, RebuildError::InUse { .. }), "{error}");
    std::fs::remove_file(directory.join("index.redb")).unwrap();
    test.reopen();
    test.flush();
    let reader = test.ledger().scope(&tenant("acme"), &PROD);
    assert_eq!(reader.events().surface("orders.items.list").count().unwrap(), 100);
    test.ledger().clone().close().unwrap();
    let report = rebuild_index(&directory).unwrap();
    assert!(report.events >= 102 && report.skipped_lines == 0, "{report:?}");
    let error = rebuild_index(directory.parent().unwrap()).unwrap_err();
    assert!(matches!(error, RebuildError::NotALedger { .. }), "{error}");
}

#[test]
fn an_unauthenticated_request_is_an_event_of_system_that_only_the_operator_reads() {
    let ledger = TestLedger::new();
    let stranger = ledger
        .ledger()
        .unauthenticated()
        .user_id("u_mallory")
        .auth_subject("issuer|mallory")
        .actor_type(ActorType::User)
        .build()
        .unwrap();
    assert!(
        stranger.scope().is_system() && stranger.user_id().is_none() && stranger.auth_subject().is_none()
    );
    create(&stranger, "from nobody", true).unwrap();
    ledger.flush();
    let by_name = ledger.ledger().scope(stranger.tenant_id(), stranger.env());
    assert!(matches!(by_name.events().count(), Err(ReadError::OperatorOnly)));
    assert!(matches!(by_name.events().iter().next(), Some(Err(ReadError::OperatorOnly))));
    assert!(matches!(by_name.head(), Err(ReadError::OperatorOnly)));
    let system = ledger.ledger().operator("test").system();
    let found: Vec<_> = system.events().surface("orders.create").iter().collect::<Result<_, _>>().unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].event.actor.as_ref().unwrap().actor_type, ActorType::Anonymous);
    assert!(!found[0].line.contains("mallory"));
}

#[dataset_event(surface = "orders.peek", access = "read")]
fn peek(tenant_id: &TenantId, env: &Env) {}

#[test]
fn a_loose_scope_of_system_is_marked_and_half_of_it_hides_no_event_from_its_tenant() {
    let test = TestLedger::new();
    let stranger = test.ledger().unauthenticated().build().unwrap();
    let _entered = test.enter();
    peek(stranger.tenant_id(), stranger.env());
    peek(stranger.tenant_id(), &PROD);
    peek(&tenant("acme"), stranger.env());
    peek(&tenant("acme"), &PROD);
    test.flush();
    let operator = test.ledger().operator("test");
    let marks = |reader: ScopedReader| -> Vec<bool> {
        let found = reader.events().surface("orders.peek").iter();
        found.map(|one| one.unwrap().event.synthesized.iter().any(|name| name == "scope")).collect()
    };
    assert_eq!(marks(operator.system()), [true, true]);
    let unknown = Env::new("unknown").unwrap();
    assert_eq!(marks(test.ledger().scope(&tenant("acme"), &unknown)), [true]);
    assert_eq!(marks(test.ledger().scope(&tenant("acme"), &PROD)), [false]);
    assert_eq!(operator.scopes().unwrap().len(), 3);
    assert_eq!(test.ledger().stats().synthesized_scopes, 3);
    assert!(test.ledger().verify().unwrap().is_verified());
}

#[dataset_event(surface = "orders.browse", access = "read", cannot_fail = "it looks at nothing")]
fn browse(ctx: &RequestContext) {
    peek(ctx.tenant_id(), ctx.env());
    look(ctx);
}

#[dataset_event(surface = "orders.look", access = "read", cannot_fail = "it looks at nothing")]
fn look(ctx: &RequestContext) {}

#[test]
fn only_what_a_strangers_context_is_passed_to_enters_system_unmarked() {
    let test = TestLedger::new();
    let _entered = test.enter();
    browse(&test.ledger().unauthenticated().build().unwrap());
    test.flush();
    let found = test.ledger().operator("test").system().events().iter();
    let found: Vec<_> =
        found.map(Result::unwrap).filter(|one| one.event.surface.starts_with("orders.")).collect();
    let marks: Vec<_> = found
        .iter()
        .map(|one| (one.event.surface.to_string(), one.event.synthesized.iter().any(|name| name == "scope")))
        .collect();
    let expected = [("orders.peek", true), ("orders.look", false), ("orders.browse", false)];
    assert_eq!(marks, expected.map(|(surface, is_marked)| (surface.to_owned(), is_marked)));
    // They are one request all the same.
    assert!(found.iter().all(|one| one.event.request_id == found[0].event.request_id));
}
