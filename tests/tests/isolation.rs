//! The isolation contract holds for the ledger, and catches a leak of each kind.

use std::path::Path;
use std::sync::Mutex;

use dataset_events::testing::isolation::{
    Breach, IsolationBroken, IsolationContract, IsolationTenant, Observed,
};
use dataset_events::testing::{TestLedger, isolation_contract};
use dataset_events::{
    Code, ErrorCode, Guarantee, Ledger, LedgerUnavailable, RequestContext, dataset_event, surfaces,
};

#[derive(Debug)]
struct Refused;

impl ErrorCode for Refused {
    fn code(&self) -> Code {
        const { Code::new("notes.refused") }
    }
}

impl From<LedgerUnavailable> for Refused {
    fn from(_: LedgerUnavailable) -> Self {
        Self
    }
}

#[dataset_event(surface = "notes.save", input(text), output(text = ret))]
fn save(ctx: &RequestContext, text: &str) -> Result<String, Refused> {
    check(ctx, text)?;
    Ok(text.to_uppercase())
}

#[dataset_event(surface = "notes.check", guarantee = "durable", input(text), error_message)]
fn check(ctx: &RequestContext, text: &str) -> Result<(), Refused> {
    if text.is_empty() { Err(Refused) } else { Ok(()) }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("refused")
    }
}

fn context(ledger: &Ledger, tenant: &IsolationTenant) -> RequestContext {
    ledger
        .context(&tenant.tenant_id, &tenant.env)
        .user_id(&tenant.user_id)
        .request_id(&tenant.request_id)
        .build()
        .expect("the contract's ids are valid")
}

fn exercise(ledger: &Ledger, tenant: &IsolationTenant) -> Observed {
    let ctx = context(ledger, tenant);
    let body = save(&ctx, &format!("{}\"\u{0}é", tenant.canary)).expect("saved");
    save(&ctx, "").expect_err("refused");
    Observed::new().saw("body", body)
}

fn broken(result: Result<impl Sized, IsolationBroken>) -> Vec<Breach> {
    match result {
        Ok(_) => panic!("the leak was not caught"),
        Err(broken) => broken.breaches,
    }
}

fn has_leak(breaches: &[Breach], in_place: &str) -> bool {
    breaches.iter().any(|breach| match breach {
        Breach::Leak { tenant, place, excerpt } => {
            tenant.starts_with("isolation-")
                && place.contains(in_place)
                && excerpt.to_lowercase().contains("cnry")
        }
        _ => false,
    })
}

#[test]
fn fifty_tenants_at_once_see_nothing_of_each_other() {
    let root = tempfile::tempdir().expect("a directory");
    let ledger = Ledger::open(root.path()).expect("a ledger");
    let report = isolation_contract!(
        exercise: |tenant| exercise(&ledger, tenant),
        shared: {
            "statistics" => format!("{:?} {:?}", ledger.stats(), ledger.index_health()),
            "registry" => surfaces().map(|site| format!("{site:?}")).collect::<String>(),
        },
        ledgers: [&ledger],
        ledger_directories: [ledger.path().expect("it lies on disk")],
    );
    assert_eq!((report.tenants, report.rounds), (50, 3));
    // Both looks saw the 50 streams and `$system`; the index held something to look through.
    assert!(report.streams >= 102 && report.index_bytes > 10_000, "{report:?}");
    // A durable attempt is a line of its own.
    let durable = surfaces().filter(|site| site.guarantee == Guarantee::Durable).count();
    assert!(durable == 1 && report.lines >= 2 * 50 * 3 * 6, "{report:?}");
}

#[test]
fn a_leak_between_tenants_is_caught_in_what_they_observe() {
    let last = Mutex::new(String::new());
    let leaky = IsolationContract::new(|tenant| {
        let before = std::mem::replace(&mut *last.lock().expect("not poisoned"), tenant.canary.clone());
        Observed::new()
            .saw("own", tenant.canary.clone())
            .saw("headers", format!("x-last: {}", &before.to_uppercase()))
    });
    let breaches = broken(leaky.tenants(4).rounds(2).run(Vec::new));
    assert!(has_leak(&breaches, "headers that isolation-"), "{breaches:?}");
    assert!(breaches.iter().all(|breach| matches!(breach, Breach::Leak { .. })), "{breaches:?}");
}

#[test]
fn any_canary_in_shared_output_and_a_panic_are_caught() {
    let log = Mutex::new(String::new());
    let leaky = IsolationContract::new(|tenant| {
        log.lock().expect("not poisoned").push_str(tenant.request_id.as_str());
        assert!(tenant.index != 2, "cannot serve {}", tenant.canary);
        Observed::new().saw("body", tenant.canary.clone())
    });
    let shared = || vec![("log".to_owned(), log.lock().expect("not poisoned").clone().into_bytes())];
    let breaches = broken(leaky.tenants(3).rounds(1).run(shared));
    assert!(has_leak(&breaches, "shared log"), "{breaches:?}");
    let panics = breaches.iter().filter(|breach| matches!(breach, Breach::Panicked { round: 0, .. })).count();
    assert_eq!(panics, 1);
}

#[test]
fn an_event_in_the_scope_of_another_is_caught() {
    let test = TestLedger::new();
    let victim = test.context("isolation-0", "contract").build().expect("a context");
    let leaky = IsolationContract::new(|tenant| {
        // As a service that keeps the context of somebody else's request.
        save(&victim, &tenant.canary).expect("saved");
        exercise(test.ledger(), tenant)
    });
    let breaches = broken(leaky.tenants(3).rounds(1).ledger(test.ledger()).run(Vec::new));
    assert!(has_leak(&breaches, "an event of isolation-0/contract"), "{breaches:?}");
}

#[test]
fn an_event_of_system_and_one_of_an_outsider_may_hold_no_canary() {
    let test = TestLedger::new();
    let outsider = test.context("outsider", "prod").build().expect("a context");
    let leaky = IsolationContract::new(|tenant| {
        let stranger =
            test.ledger().unauthenticated().request_id(&tenant.request_id).build().expect("a context");
        save(&stranger, "nothing").expect("saved");
        save(&outsider, &tenant.canary).expect("saved");
        exercise(test.ledger(), tenant)
    });
    let breaches = broken(leaky.tenants(2).rounds(1).ledger(test.ledger()).run(Vec::new));
    assert!(has_leak(&breaches, "an event of $system/$system"), "{breaches:?}");
    assert!(has_leak(&breaches, "an event of outsider/prod"), "{breaches:?}");
}

/// Runs the contract over a closed ledger that was changed on disk before it was looked at.
fn changed(change: impl Fn(&Path, &str)) -> Vec<Breach> {
    let root = tempfile::tempdir().expect("a directory");
    let ledger = Ledger::open(root.path()).expect("a ledger");
    let directory = ledger.path().expect("it lies on disk").to_owned();
    let canary = Mutex::new(String::new());
    let open = Mutex::new(Some(ledger));
    let contract = IsolationContract::new(|tenant| {
        let ledger = open.lock().expect("not poisoned").clone().expect("open while it runs");
        if tenant.index == 0 {
            canary.lock().expect("not poisoned").clone_from(&tenant.canary);
        }
        exercise(&ledger, tenant)
    });
    broken(contract.tenants(2).rounds(2).ledger_directory(&directory).run(|| {
        let ledger = open.lock().expect("not poisoned").take().expect("open while it runs");
        ledger.close().expect("closed");
        change(&directory, &canary.lock().expect("not poisoned"));
        Vec::new()
    }))
}

#[test]
fn a_canary_in_the_raw_bytes_of_the_index_is_caught() {
    let breaches = changed(|directory, canary| {
        let path = directory.join("index.redb");
        let mut bytes = std::fs::read(&path).expect("an index");
        bytes.extend_from_slice(canary.as_bytes());
        std::fs::write(&path, bytes).expect("written");
    });
    assert!(has_leak(&breaches, "index.redb"), "{breaches:?}");
    assert_eq!(breaches.len(), 1, "{breaches:?}");
}

#[test]
fn a_line_that_was_moved_to_another_stream_is_caught() {
    let breaches = changed(|directory, _| {
        let log = std::fs::read_dir(directory.join("log")).expect("a log");
        let segments = log.map(|entry| entry.expect("an entry").path());
        let segment = segments.filter(|path| path.extension().is_some_and(|found| found == "ndjson")).min();
        let path = segment.expect("a segment");
        let text = std::fs::read_to_string(&path).expect("lines");
        let moved = text.replacen("\"tenant_id\":\"isolation-1\"", "\"tenant_id\":\"isolation-0\"", 3);
        assert_ne!(moved, text);
        std::fs::write(&path, moved).expect("written");
    });
    assert!(breaches.iter().any(|breach| matches!(breach, Breach::BrokenStream { .. })), "{breaches:?}");
    assert!(has_leak(&breaches, "an event of isolation-0/contract"), "{breaches:?}");
}

#[test]
fn an_exercise_that_shows_nothing_and_a_ledger_that_is_not_there_are_no_success() {
    let contract = IsolationContract::new(|_| Observed::new());
    let breaches = broken(contract.tenants(2).rounds(1).ledger_directory("/nowhere").run(Vec::new));
    let silent = breaches.iter().filter(|breach| matches!(breach, Breach::NothingOfItsOwn { .. })).count();
    assert_eq!(silent, 2, "{breaches:?}");
    assert!(breaches.iter().any(|breach| matches!(breach, Breach::Unreadable { .. })), "{breaches:?}");
}

#[test]
fn an_exercise_that_was_refused_everywhere_fails_though_its_ids_were_echoed() {
    let refused = IsolationContract::new(|tenant| {
        Observed::new()
            .saw("headers", format!("x-request-id: {}", tenant.request_id))
            .saw("body", format!(r#"{{"code":"http.unauthorized","user":"{}"}}"#, tenant.user_id))
    });
    let broken = refused.tenants(2).rounds(3).run(Vec::new).expect_err("all of it was refused");
    let [Breach::NothingOfItsOwn { tenant, rounds }, Breach::NothingOfItsOwn { .. }] = &broken.breaches[..]
    else {
        panic!("{broken}");
    };
    assert_eq!((tenant.as_str(), &rounds[..]), ("isolation-0", &[0, 1, 2][..]));
    let message = broken.to_string();
    assert!(message.contains("nothing of isolation-1's own came back in round 0, 1, 2"), "{message}");
    assert!(message.contains("Let the exercise assert that they succeed"), "{message}");
}

#[test]
fn refusals_in_the_ledger_are_no_success_even_when_they_echo_the_data() {
    let test = TestLedger::new();
    let refused = IsolationContract::new(|tenant| {
        let ctx = context(test.ledger(), tenant);
        save(&ctx, "").expect_err("refused");
        Observed::new().saw("body", format!("there is no note {}", tenant.canary))
    });
    let broken = refused.tenants(2).rounds(1).ledger(test.ledger()).run(Vec::new).expect_err("refused");
    let without: Vec<_> = broken.breaches.iter().collect();
    assert!(
        matches!(without[..], [Breach::NothingSucceeded { .. }, Breach::NothingSucceeded { .. }]),
        "{broken}"
    );
    let message = broken.to_string();
    assert!(
        message.contains("no ok event of isolation-0") && message.contains("assert the status"),
        "{message}"
    );
}

#[test]
fn each_round_has_to_be_served_and_an_ok_event_with_its_request_id_shows_that() {
    let test = TestLedger::new();
    let served_once = IsolationContract::new(|tenant| {
        let ctx = context(test.ledger(), tenant);
        if tenant.round == 0 || tenant.index == 0 {
            save(&ctx, &tenant.canary).expect("saved");
        } else {
            save(&ctx, "").expect_err("refused");
        }
        Observed::new()
    });
    let breaches = broken(served_once.tenants(2).rounds(3).ledger(test.ledger()).run(Vec::new));
    let expected = Breach::NothingOfItsOwn { tenant: "isolation-1".to_owned(), rounds: vec![1, 2] };
    assert_eq!(breaches, [expected]);
}
