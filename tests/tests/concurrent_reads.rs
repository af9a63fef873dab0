//! Reading while sixteen threads write: what is seen is always a whole beginning of each stream, and in the
//! end the index says what a plain scan of the log says.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use dataset_events::testing::TestLedger;
use dataset_events::{
    Code, Env, ErrorCode, EventQuery, LedgerReader, Outcome, RequestContext, ScopedReader, TenantId, TraceId,
    UserId, dataset_event,
};

const THREADS: u64 = 16;
const CALLS: u64 = 1_000;
const TENANTS: [&str; 4] = ["acme", "globex", "initech", "umbrella"];
const ENVS: [&str; 2] = ["prod", "test"];

struct Odd;

impl ErrorCode for Odd {
    fn code(&self) -> Code {
        const { Code::new("numbers.odd") }
    }
}

#[dataset_event(surface = "numbers.check", access = "read", input(canary, number))]
fn check(ctx: &RequestContext, canary: &str, number: u64) -> Result<(), Odd> {
    if number % 5 == 1 { Err(Odd) } else { Ok(()) }
}

#[dataset_event(surface = "numbers.store.put", input(canary))]
fn put(ctx: &RequestContext, canary: &str) {}

fn scopes() -> Vec<(TenantId, Env)> {
    let pairs = TENANTS.into_iter().flat_map(|tenant| ENVS.map(|env| (tenant, env)));
    pairs.map(|(tenant, env)| (TenantId::new(tenant).unwrap(), Env::new(env).unwrap())).collect()
}

fn trace(thread: u64, call: u64) -> TraceId {
    format!("{thread:016x}{:016x}", call / 10 + 1).parse().unwrap()
}

fn write(test: &TestLedger, thread: u64) {
    for call in 0..CALLS {
        let (tenant, env) = &scopes()[((thread + call) % 8) as usize];
        let ctx = test.context(tenant, env).user_id(format!("u_{}", call % 7)).trace_id(trace(thread, call));
        let ctx = ctx.build().unwrap();
        let canary = format!("canary-{tenant}-{env}-");
        let _ = check(&ctx, &canary, call);
        if call % 4 == 0 {
            put(&ctx, &canary);
        }
        // Sixteen threads without a pause are an overload, which is answered by shedding.
        if call % 100 == 99 {
            test.flush();
        }
    }
}

/// Whatever is read is a gapless, chained beginning of the stream, and of nobody else's.
fn read_whole(reader: &ScopedReader) -> u64 {
    let own = format!("canary-{}-{}-", reader.scope().tenant_id(), reader.scope().env());
    let (mut seq, mut head) = (0, None);
    for event in reader.events().iter() {
        let event = event.unwrap();
        seq += 1;
        assert_eq!(event.event.seq, seq);
        assert!(head.is_none_or(|head| head == event.event.prev), "the chain breaks at {seq}");
        assert!(event.line.contains(&own) && event.line.matches("canary-").count() == 1, "{}", event.line);
        head = Some(event.hash());
    }
    seq
}

fn lines(query: EventQuery) -> Vec<String> {
    query.iter().map(|event| event.unwrap().line).collect()
}

#[test]
fn readers_see_whole_beginnings_and_in_the_end_what_a_scan_sees() {
    let test = TestLedger::on_disk();
    let is_over = AtomicBool::new(false);
    let rounds = AtomicU64::new(0);
    thread::scope(|threads| {
        let reading = threads.spawn(|| {
            let mut before = [0; 8];
            while !is_over.load(Ordering::Acquire) || rounds.load(Ordering::Relaxed) < 2 {
                for (at, (tenant, env)) in scopes().iter().enumerate() {
                    let reader = test.ledger().scope(tenant, env);
                    let counted = reader.events().count().unwrap();
                    let newest = reader.events().newest_first().page(5).unwrap().events;
                    let read = read_whole(&reader);
                    let newest = newest.first().map_or(0, |event| event.event.seq);
                    assert!(before[at] <= counted && counted <= newest && newest <= read);
                    before[at] = read;
                }
                rounds.fetch_add(1, Ordering::Relaxed);
            }
        });
        let writing: Vec<_> = (0..THREADS)
            .map(|number| {
                threads.spawn({
                    let test = &test;
                    move || write(test, number)
                })
            })
            .collect();
        for thread in writing {
            thread.join().unwrap();
        }
        is_over.store(true, Ordering::Release);
        reading.join().unwrap();
    });
    test.flush();
    let scanned = LedgerReader::open(test.ledger().path().unwrap()).unwrap();
    let (mut total, mut selected) = (0, 0);
    for (at, (tenant, env)) in scopes().into_iter().enumerate() {
        let indexed = test.ledger().scope(&tenant, &env);
        let scanned = scanned.scope(&tenant, &env);
        total += read_whole(&indexed);
        let times: Vec<i64> = indexed.events().iter().map(|event| event.unwrap().event.recorded_at).collect();
        assert!(times.is_sorted());
        let (early, late) = (times[times.len() / 3], times[times.len() / 2]);
        let user = UserId::new("u_3").unwrap();
        let queries: [&dyn Fn(&ScopedReader) -> EventQuery; 7] = [
            &|reader| reader.events(),
            &|reader| reader.events().surface("numbers.*.put").newest_first(),
            &|reader| reader.events().outcome(Outcome::Error).since(early),
            &|reader| reader.events().code("numbers.odd").user(&user).until(late).newest_first(),
            &|reader| reader.events().trace(trace(3, 500)),
            &|reader| reader.events().trace(trace(4, 0)).outcome(Outcome::Ok).newest_first(),
            &|reader| reader.events().after_seq(100).before_seq(900).user(&user),
        ];
        // Every scan reads the whole log; two scopes are enough of them.
        for query in queries.into_iter().filter(|_| at % 4 == 1) {
            let expected = lines(query(&scanned));
            assert_eq!(lines(query(&indexed)), expected);
            assert_eq!(query(&indexed).count().unwrap(), expected.len() as u64);
            selected += expected.len();
        }
    }
    assert_eq!(total, THREADS * (CALLS + CALLS / 4));
    assert!(selected > 5_000, "the queries select next to nothing: {selected}");
    assert!(test.ledger().index_health().is_ok);
    assert!(test.ledger().verify().unwrap().is_verified());
}
