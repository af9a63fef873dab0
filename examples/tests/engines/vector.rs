//! The vectors' surfaces: each succeeds and fails with the right code, and finds what it should.

use std::fs;
use std::path::Path;

use dataset_events::{Access, RequestContext};
use dataset_events_examples::engines::kill_switch::{Change, Reason};
use dataset_events_examples::engines::vector::{
    DocumentId, MAX_QUERY_BYTES, MAX_TEXT_BYTES, MAX_TITLE_BYTES, Vector, VectorError,
};

use crate::common::Bench;

const HARBOUR: &str = "Ships unload containers in the harbour at night.";
const BAKERY: &str = "The bakery sells fresh bread and rolls every morning.";

fn bench() -> (Bench, RequestContext) {
    let bench = Bench::new();
    let ctx = bench.context("acme", "prod");
    (bench, ctx)
}

fn id(text: &str) -> DocumentId {
    text.parse().expect("a document id")
}

async fn found(vector: &Vector, ctx: &RequestContext, query: &str, top_k: u32) -> Vec<String> {
    let hits = vector.query(ctx, query, top_k).await.expect("query");
    hits.into_iter().map(|hit| hit.document_id.to_string()).collect()
}

#[tokio::test]
async fn a_document_is_ingested_replaced_and_left_as_it_is() {
    let (bench, ctx) = bench();
    let vector = &bench.engines.vector;
    let first = vector.ingest(&ctx, &id("place"), "Harbour", HARBOUR).await.expect("ingest");
    assert!(first.is_changed);
    let document = &first.document;
    assert_eq!((document.version, document.chunks, document.dimensions), (1, 1, 1 << 20));
    assert_eq!((document.model_version, document.ingested_by.as_str()), (1, "u_1"));
    let same = vector.ingest(&ctx, &id("place"), "Harbour", HARBOUR).await.expect("ingest again");
    assert_eq!((same.is_changed, &same.document), (false, document));
    let other = vector.ingest(&ctx, &id("place"), "Bakery", BAKERY).await.expect("replace");
    assert_eq!((other.is_changed, other.document.version), (true, 2));
    assert_eq!(found(vector, &ctx, "harbour containers", 5).await, [""; 0], "the old text is gone");
    assert_eq!(found(vector, &ctx, "bread", 5).await, ["place"]);

    let event = &bench.ledger.events_of("vector.ingest")[0];
    assert_eq!(event.access, Access::Write);
    assert_eq!(event.input_value()["text_bytes"], HARBOUR.len());
    assert_eq!(event.output_value()["dimensions"], 1 << 20);
    assert_eq!(event.source_refs[0].id, "place");
}

#[tokio::test]
async fn what_is_no_document_is_refused_and_not_kept() {
    let (bench, ctx) = bench();
    let vector = &bench.engines.vector;
    let refused = vector.ingest(&ctx, &id("d"), "Title", " \n... --- !\n").await;
    assert!(matches!(refused, Err(VectorError::EmptyDocument { .. })), "{refused:?}");
    let refused = vector.ingest(&ctx, &id("d"), "", &"x".repeat(MAX_TEXT_BYTES + 1)).await;
    assert!(matches!(refused, Err(VectorError::TooLarge { .. })), "{refused:?}");
    let refused = vector.ingest(&ctx, &id("d"), &"x".repeat(MAX_TITLE_BYTES + 1), HARBOUR).await;
    assert!(matches!(refused, Err(VectorError::InvalidTitle { .. })), "{refused:?}");
    assert_eq!(
        bench.endings("vector.ingest"),
        ["error vector.empty_document", "error vector.too_large", "error vector.invalid_title"]
    );
    assert!(matches!(vector.remove(&ctx, &id("d")).await, Err(VectorError::NotFound { .. })));
}

#[tokio::test]
async fn a_scope_takes_no_more_chunks_than_a_query_compares() {
    let (bench, ctx) = bench();
    let vector = &bench.engines.vector;
    vector.ingest(&ctx, &id("large"), "", HARBOUR).await.expect("ingest");
    // As many as are allowed, by the count that ingesting goes by.
    let database = rusqlite::Connection::open(bench.database()).expect("open the database");
    database.execute("UPDATE vector_documents SET chunks = 20000", []).expect("fill the scope");
    let refused = vector.ingest(&ctx, &id("more"), "", BAKERY).await;
    assert!(matches!(refused, Err(VectorError::ScopeFull { chunks: 1 })), "{refused:?}");
    assert_eq!(bench.endings("vector.ingest"), ["ok", "error vector.scope_full"]);
    let foreign = bench.context("globex", "prod");
    vector.ingest(&foreign, &id("more"), "", BAKERY).await.expect("another scope is not full");
    vector.ingest(&ctx, &id("large"), "", BAKERY).await.expect("a replacement needs no more room");
}

#[tokio::test]
async fn a_query_answers_the_best_chunk_of_each_document() {
    let (bench, ctx) = bench();
    let vector = &bench.engines.vector;
    let town = format!("# Trade\n\n{BAKERY}\n\n# Port\n\n{HARBOUR}\n");
    vector.ingest(&ctx, &id("town"), "Town", &town).await.expect("ingest");
    vector.ingest(&ctx, &id("port"), "Port", HARBOUR).await.expect("ingest");
    let hits = vector.query(&ctx, "containers unloaded in a harbour", 5).await.expect("query");
    let ids: Vec<(&str, u64)> = hits.iter().map(|hit| (hit.document_id.as_str(), hit.chunk)).collect();
    assert_eq!(ids, [("port", 1), ("town", 2)]);
    assert!(hits[0].score_ppm >= hits[1].score_ppm && hits[0].score_ppm <= 1_000_000);
    assert!(hits[1].text.contains(HARBOUR) && !hits[1].text.contains(BAKERY));
    assert_eq!(
        hits,
        vector.query(&ctx, "containers unloaded in a harbour", 5).await.expect("the same again")
    );
    assert_eq!(found(vector, &ctx, "containers", 1).await, ["port"], "at most top_k");
    assert_eq!(found(vector, &ctx, "xyzzy", 5).await, [""; 0], "nothing in common");

    let event = &bench.ledger.events_of("vector.query")[0];
    // What is compared is compared between the two, when the connection is free for others.
    let actions: Vec<String> = bench
        .ledger
        .events_of("nexus.read")
        .iter()
        .filter(|read| read.parent_span_id == Some(event.span_id))
        .map(|read| read.input_value()["action"].to_string())
        .collect();
    assert_eq!(actions, ["\"read the vectors\"", "\"read the passages\""]);
    assert_eq!(event.access, Access::Read);
    assert_eq!(event.output_value()["best_score_ppm"], hits[0].score_ppm);
    let refs: Vec<&str> = event.source_refs.iter().map(|source| source.id.as_str()).collect();
    assert_eq!(refs, ["port", "town"]);
}

#[tokio::test]
async fn what_is_no_query_is_refused() {
    let (bench, ctx) = bench();
    let vector = &bench.engines.vector;
    let long = "x ".repeat(MAX_QUERY_BYTES / 2 + 1);
    for text in ["", "?! ...", &long] {
        let refused = vector.query(&ctx, text, 3).await;
        assert!(matches!(refused, Err(VectorError::InvalidQuery { .. })), "{refused:?}");
    }
    for top_k in [0, 51] {
        assert!(matches!(vector.query(&ctx, "bread", top_k).await, Err(VectorError::InvalidTopK { .. })));
    }
    let (query, top_k) = ("error vector.invalid_query", "error vector.invalid_top_k");
    assert_eq!(bench.endings("vector.query"), [query, query, query, top_k, top_k]);
    assert_eq!(found(vector, &ctx, "bread", 3).await, [""; 0], "an empty scope has nothing to find");
}

#[tokio::test]
async fn a_removed_document_is_not_found_again() {
    let (bench, ctx) = bench();
    let vector = &bench.engines.vector;
    vector.ingest(&ctx, &id("town"), "", &format!("# A\n{BAKERY}\n# B\n{HARBOUR}")).await.expect("ingest");
    assert_eq!(vector.remove(&ctx, &id("town")).await.expect("remove"), 2);
    assert_eq!(found(vector, &ctx, "bread", 5).await, [""; 0]);
    assert!(matches!(vector.remove(&ctx, &id("town")).await, Err(VectorError::NotFound { .. })));
    assert_eq!(bench.endings("vector.remove"), ["ok", "error vector.not_found"]);
    assert_eq!(bench.ledger.events_of("vector.remove")[0].access, Access::Delete);
}

#[tokio::test]
async fn what_the_gate_stops_changes_no_document() {
    let (bench, ctx) = bench();
    let vector = &bench.engines.vector;
    vector.ingest(&ctx, &id("port"), "", HARBOUR).await.expect("ingest");
    let target = "vector".parse().expect("a target");
    let engage = Change::Engage(Reason::Maintenance);
    bench.engines.kill_switch.update(&ctx, &target, engage, None).await.expect("engage");
    let refused = vector.ingest(&ctx, &id("port"), "", BAKERY).await;
    assert!(matches!(refused, Err(VectorError::Gate(_))), "{refused:?}");
    assert!(matches!(vector.remove(&ctx, &id("port")).await, Err(VectorError::Gate(_))));
    assert_eq!(bench.endings("vector.ingest"), ["ok", "denied kill_switch.blocked"]);
    assert_eq!(bench.endings("vector.remove"), ["denied kill_switch.blocked"]);
    assert_eq!(found(vector, &ctx, "harbour", 5).await, ["port"], "reads go on");
}

#[tokio::test]
async fn vectors_of_another_version_are_made_again_from_their_text() {
    let (bench, ctx) = bench();
    let vector = &bench.engines.vector;
    vector.ingest(&ctx, &id("port"), "Port", HARBOUR).await.expect("ingest");
    let before = vector.query(&ctx, "harbour", 1).await.expect("query");
    let database = rusqlite::Connection::open(bench.database()).expect("open the database");
    let older = "UPDATE vector_documents SET model_version = 0; UPDATE vector_chunks SET vector = x'00'";
    database.execute_batch(older).expect("as an older version left it");
    assert_eq!(vector.query(&ctx, "harbour", 1).await.expect("query"), before);
    let again = vector.ingest(&ctx, &id("port"), "Port", HARBOUR).await.expect("ingest");
    assert!(again.is_changed && again.document.model_version == 1, "{again:?}");
}

#[tokio::test]
async fn a_database_that_fails_is_an_internal_error() {
    let (bench, ctx) = bench();
    let vector = &bench.engines.vector;
    vector.ingest(&ctx, &id("port"), "", HARBOUR).await.expect("ingest");
    let database = rusqlite::Connection::open(bench.database()).expect("open the database");
    database.execute("UPDATE vector_chunks SET vector = x'00'", []).expect("break a vector");
    let broken = vector.query(&ctx, "harbour", 1).await.expect_err("no vector");
    let source = std::error::Error::source(&broken).expect("a source");
    assert!(source.to_string().starts_with("read vectors: column `vector`"), "{source}");
    database.execute_batch("DROP TABLE vector_chunks; DROP TABLE vector_documents").expect("drop the tables");
    for failed in [
        vector.ingest(&ctx, &id("port"), "", HARBOUR).await.map(drop),
        vector.query(&ctx, "harbour", 1).await.map(drop),
        vector.remove(&ctx, &id("port")).await.map(drop),
    ] {
        assert!(matches!(failed, Err(VectorError::Internal(_))), "{failed:?}");
    }
    for surface in ["vector.ingest", "vector.query", "vector.remove"] {
        assert_eq!(bench.endings(surface).last().expect("recorded"), "error vector.internal");
    }
}

#[tokio::test]
async fn a_document_is_found_in_its_own_scope_only() {
    let (bench, own) = bench();
    let vector = &bench.engines.vector;
    vector.ingest(&own, &id("port"), "Port", HARBOUR).await.expect("ingest");
    let alone = vector.query(&own, "harbour containers", 5).await.expect("query");
    for (tenant, env) in [("globex", "prod"), ("acme", "staging"), ("globex", "staging")] {
        let ctx = bench.context(tenant, env);
        assert_eq!(found(vector, &ctx, "harbour containers", 5).await, [""; 0], "{tenant}/{env}");
        assert!(matches!(vector.remove(&ctx, &id("port")).await, Err(VectorError::NotFound { .. })));
        // The same id is another document here, and its words do not weigh in the first scope.
        for name in ["port", "other"] {
            let text = format!("{HARBOUR} {name}");
            let ingested = vector.ingest(&ctx, &id(name), "", &text).await.expect("ingest");
            assert_eq!(ingested.document.version, 1, "{tenant}/{env}");
        }
        vector.remove(&ctx, &id("port")).await.expect("remove its own");
    }
    assert_eq!(vector.query(&own, "harbour containers", 5).await.expect("query"), alone);
}

/// Questions in words of their own, and the section of this repository's documents that answers them.
const QUESTIONS: [(&str, &str); 16] = [
    ("which tenant is an event of when a request has no valid identity", "services.a-request"),
    ("how is the caller's token carried on to the next service", "services.between-services"),
    (
        "in what order does the gate ask kill switch, budget and temperature",
        "services.the-two-services-of-the-main-job",
    ),
    ("what may a memory mapped block do when many threads need one", "design.the-journal-journal"),
    (
        "how are records sorted by completion time, so that no effect comes before its cause",
        "design.order-ledger-sequencer",
    ),
    ("when is a group written and fsynced", "design.groups-ledger-log_writer"),
    ("how long does a call wait for room before events are shed", "design.overload"),
    ("restart after a crash: torn tail, quarantine, interrupted calls", "design.opening-ledger-recover"),
    ("child process after fork", "design.fork"),
    (
        "what can verification not show, an attacker who cuts the tail",
        "design.what-verification-can-and-cannot-show",
    ),
    ("fields of a signed checkpoint", "formats.a-checkpoint"),
    ("file with the public key and ledger id", "formats.ledger-json"),
    ("events that the ledger records about itself, opened, closed", "formats.the-ledger-s-own-events"),
    ("how do the names of fields map to OpenTelemetry and OCSF", "formats.names-elsewhere"),
    (
        "why do the examples need sqlite and rust_decimal",
        "dependencies.dataset-events-examples-the-engines-and-the-main-job",
    ),
    ("hash of the previous line, genesis string of a stream", "formats.the-chain-of-a-stream"),
];

/// The sections of a document, as (id, title, text).
fn sections(document: &str) -> Vec<(DocumentId, String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(format!("{document}.md"));
    let text = fs::read_to_string(path).expect("a document of the repository");
    let mut sections: Vec<(DocumentId, String, String)> = Vec::new();
    let mut is_code = false;
    for line in text.lines() {
        is_code ^= line.starts_with("```");
        let title = line.trim_start_matches('#').trim();
        if line.starts_with('#') && !is_code {
            let kept = |byte: char| byte.is_ascii_alphanumeric() || byte == '_';
            let words = title.split(|byte| !kept(byte)).filter(|word| !word.is_empty());
            let slug = words.collect::<Vec<_>>().join("-").to_lowercase();
            sections.push((id(&format!("{document}.{slug}")), title.to_owned(), String::new()));
        }
        if let Some((_, _, text)) = sections.last_mut() {
            text.push_str(line);
            text.push('\n');
        }
    }
    sections
}

#[tokio::test]
async fn questions_find_their_section_of_the_documentation_among_the_first_three() {
    let (bench, ctx) = bench();
    let vector = &bench.engines.vector;
    let mut count = 0;
    for document in ["design", "formats", "services", "dependencies", "shapes"] {
        for (id, title, text) in sections(document) {
            vector.ingest(&ctx, &id, &title, &text).await.expect("ingest a section");
            count += 1;
        }
    }
    assert!(count > 35, "{count} sections");
    let mut missed = Vec::new();
    for (question, section) in QUESTIONS {
        let answers = found(vector, &ctx, question, 3).await;
        if !answers.iter().any(|answer| answer == section) {
            missed.push(format!("{question}: expected {section}, found {answers:?}"));
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}
