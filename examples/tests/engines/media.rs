//! The media's surfaces: each succeeds and fails with the right code, and its event says so.

use std::fs;

use dataset_events::{Access, RequestContext};
use dataset_events_examples::engines::kill_switch::{Change, Reason};
use dataset_events_examples::engines::media::{Damage, MAX_BYTES, MediaError, MediaId};
use dataset_events_examples::engines::{Engines, Nexus, Sources};
use serde_json::json;

use crate::common::Bench;
use crate::script::GIF;

const TEXT: &[u8] = b"# Numbers\n\nThe numbers are good.\n";

fn bench() -> (Bench, RequestContext) {
    let bench = Bench::new();
    let ctx = bench.context("acme", "prod");
    (bench, ctx)
}

fn absent() -> MediaId {
    MediaId::of(b"never stored")
}

#[tokio::test]
async fn the_same_content_is_one_object_and_its_first_type_stands() {
    let (bench, ctx) = bench();
    let media = &bench.engines.media;
    let first = media.store(&ctx, TEXT, Some("Text/Markdown; charset=utf-8")).await.expect("store");
    let again = media.store(&ctx, TEXT, Some("text/plain")).await.expect("store again");
    assert_eq!((first.is_new, again.is_new), (true, false));
    assert_eq!(first.info, again.info);
    assert_eq!(
        (first.info.media_type.as_str(), first.info.sniffed_type.as_str()),
        ("text/markdown", "text/plain")
    );
    assert_eq!(first.info.media_id, MediaId::of(TEXT));
    assert_eq!((first.info.size_bytes, first.info.stored_by.as_str()), (33, "u_1"));

    let event = &bench.ledger.events_of("media.store")[0];
    assert_eq!(event.access, Access::Create);
    assert_eq!(event.input_value(), json!({"size_bytes": 33, "has_declared_type": true, "backend": "file"}));
    let output = json!({
        "sniffed_type": "text/plain",
        "media_id": first.info.media_id,
        "media_type": "text/markdown",
        "is_new": true,
        "is_repaired": false,
    });
    assert_eq!(event.output_value(), output);
    assert_eq!(event.source_refs[0].id, first.info.media_id.as_str());
}

#[tokio::test]
async fn what_is_no_upload_is_refused_and_not_kept() {
    let (bench, ctx) = bench();
    let media = &bench.engines.media;
    assert!(matches!(media.store(&ctx, b"", None).await, Err(MediaError::Empty)));
    let too_large = vec![0; MAX_BYTES + 1];
    assert!(matches!(media.store(&ctx, &too_large, None).await, Err(MediaError::TooLarge { .. })));
    let refused = media.store(&ctx, GIF, Some("gif")).await;
    assert!(matches!(refused, Err(MediaError::InvalidType { len_bytes: 3 })), "{refused:?}");
    let refused = media.store(&ctx, GIF, Some("image/png")).await.expect_err("a GIF");
    assert_eq!(
        refused.to_string(),
        "declared as image/png, but the bytes are image/gif: declare that, or nothing"
    );
    assert_eq!(
        bench.endings("media.store"),
        [
            "error media.empty",
            "error media.too_large",
            "error media.invalid_type",
            "error media.type_mismatch"
        ]
    );
    assert_eq!(media.list(&ctx, None, 10).await.expect("list"), []);
    let path = media.path(&ctx, &MediaId::of(GIF)).expect("a database with a file");
    assert!(!path.exists());
}

#[tokio::test]
async fn what_the_gate_stops_is_not_stored_and_what_is_there_can_be_read() {
    let (bench, ctx) = bench();
    let Engines { media, kill_switch, .. } = &bench.engines;
    let id = media.store(&ctx, TEXT, None).await.expect("store").info.media_id;
    let target = "media".parse().expect("a target");
    kill_switch.update(&ctx, &target, Change::Engage(Reason::Abuse), None).await.expect("engage");
    assert!(matches!(media.store(&ctx, GIF, None).await, Err(MediaError::Gate(_))));
    assert_eq!(bench.endings("media.store"), ["ok", "denied kill_switch.blocked"]);
    let path = media.path(&ctx, &MediaId::of(GIF)).expect("a database with a file");
    assert!(!path.exists());
    media.fetch(&ctx, &id).await.expect("reads go on");
}

#[tokio::test]
async fn fetch_and_verify_answer_what_was_stored() {
    let (bench, ctx) = bench();
    let media = &bench.engines.media;
    let stored = media.store(&ctx, GIF, Some("image/gif")).await.expect("store");
    let id = &stored.info.media_id;
    let fetched = media.fetch(&ctx, id).await.expect("fetch");
    assert_eq!((fetched.bytes.as_slice(), &fetched.info), (GIF, &stored.info));
    assert_eq!(media.verify(&ctx, id).await.expect("verify"), stored.info);
    assert!(matches!(media.fetch(&ctx, &absent()).await, Err(MediaError::NotFound { .. })));
    assert!(matches!(media.verify(&ctx, &absent()).await, Err(MediaError::NotFound { .. })));
    for surface in ["media.fetch", "media.verify"] {
        assert_eq!(bench.endings(surface), ["ok", "error media.not_found"]);
        let event = &bench.ledger.events_of(surface)[0];
        assert_eq!(event.access, Access::Read);
        assert_eq!(event.source_refs[0].kind, "media");
        assert_eq!(event.output_value()["size_bytes"], GIF.len());
        assert_eq!(event.input_value()["backend"], "file");
    }
}

#[tokio::test]
async fn an_object_whose_bytes_changed_is_corrupt_until_it_is_stored_again() {
    let (bench, ctx) = bench();
    let media = &bench.engines.media;
    let id = media.store(&ctx, TEXT, None).await.expect("store").info.media_id;
    let path = media.path(&ctx, &id).expect("a database with a file");

    let mut changed = TEXT.to_vec();
    changed[0] ^= 1;
    fs::write(&path, &changed).expect("change the stored bytes");
    let sha256 = MediaId::of(&changed);
    let verified = media.verify(&ctx, &id).await;
    assert!(
        matches!(&verified, Err(MediaError::Corrupt { damage: Damage::Changed { sha256: found }, .. }) if *found == sha256),
        "{verified:?}"
    );
    assert!(matches!(media.fetch(&ctx, &id).await, Err(MediaError::Corrupt { .. })));

    let again = media.store(&ctx, TEXT, None).await.expect("store again");
    assert_eq!((again.is_new, again.is_repaired), (false, true));
    media.verify(&ctx, &id).await.expect("whole again");

    fs::remove_file(&path).expect("remove the stored bytes");
    let verified = media.verify(&ctx, &id).await;
    assert!(matches!(verified, Err(MediaError::Corrupt { damage: Damage::Missing, .. })), "{verified:?}");
    assert_eq!(bench.endings("media.verify"), ["error media.corrupt", "ok", "error media.corrupt"]);
    assert_eq!(bench.endings("media.fetch"), ["error media.corrupt"]);
}

#[tokio::test]
async fn objects_are_listed_page_by_page() {
    let (bench, ctx) = bench();
    let media = &bench.engines.media;
    for text in ["one", "two", "three"] {
        media.store(&ctx, text.as_bytes(), None).await.expect("store");
    }
    let first = media.list(&ctx, None, 2).await.expect("list");
    let rest = media.list(&ctx, Some(&first[1].media_id), 2).await.expect("list on");
    let ids: Vec<&MediaId> = first.iter().chain(&rest).map(|info| &info.media_id).collect();
    let mut expected = ["one", "two", "three"].map(|text| MediaId::of(text.as_bytes()));
    expected.sort();
    assert_eq!(ids, expected.iter().collect::<Vec<_>>());
    for limit in [0, 201] {
        assert!(matches!(media.list(&ctx, None, limit).await, Err(MediaError::InvalidPage { .. })));
    }
    let invalid = "error media.invalid_page";
    assert_eq!(bench.endings("media.list"), ["ok", "ok", invalid, invalid]);
}

#[tokio::test]
async fn a_disk_or_a_database_that_fails_is_told_apart() {
    let (bench, ctx) = bench();
    let media = &bench.engines.media;
    let id = media.store(&ctx, TEXT, None).await.expect("store").info.media_id;
    // A folder where the file should be: it opens, and cannot be read.
    let path = media.path(&ctx, &id).expect("a database with a file");
    fs::remove_file(&path).expect("remove the stored bytes");
    fs::create_dir(&path).expect("put a folder in their place");
    for failed in [
        media.fetch(&ctx, &id).await.map(drop),
        media.verify(&ctx, &id).await.map(drop),
        media.store(&ctx, TEXT, None).await.map(drop),
    ] {
        let error = failed.expect_err("a folder");
        let source = std::error::Error::source(&error).expect("a source");
        assert_eq!(source.to_string(), format!("read {}", path.display()));
    }
    for surface in ["media.fetch", "media.verify", "media.store"] {
        assert_eq!(bench.endings(surface).last().expect("recorded"), "error media.storage_failed");
    }

    fs::remove_dir(&path).expect("remove the folder");
    let database = rusqlite::Connection::open(bench.database()).expect("open the database");
    database.execute_batch("DROP TABLE media_objects").expect("drop the table");
    for failed in [
        media.fetch(&ctx, &id).await.map(drop),
        media.verify(&ctx, &id).await.map(drop),
        media.store(&ctx, TEXT, None).await.map(drop),
        media.list(&ctx, None, 1).await.map(drop),
    ] {
        assert!(matches!(failed, Err(MediaError::Internal(_))), "{failed:?}");
    }
    for surface in ["media.fetch", "media.verify", "media.store", "media.list"] {
        assert_eq!(bench.endings(surface).last().expect("recorded"), "error media.internal");
    }
}

#[tokio::test]
async fn an_object_is_found_in_its_own_scope_only() {
    let (bench, own) = bench();
    let media = &bench.engines.media;
    let id = media.store(&own, TEXT, None).await.expect("store").info.media_id;
    for (tenant, env) in [("globex", "prod"), ("acme", "staging"), ("Acme", "prod")] {
        let ctx = bench.context(tenant, env);
        for refused in [media.fetch(&ctx, &id).await.map(drop), media.verify(&ctx, &id).await.map(drop)] {
            let is_not_found = matches!(&refused, Err(MediaError::NotFound { media_id }) if *media_id == id);
            assert!(is_not_found, "{tenant}/{env}: {refused:?}");
        }
        assert_eq!(media.list(&ctx, None, 10).await.expect("list"), [], "{tenant}/{env}");
        // The same bytes are new here, in a file of their own: nothing says that another scope has them.
        let stored = media.store(&ctx, TEXT, None).await.expect("store");
        assert!(stored.is_new && !stored.is_repaired, "{tenant}/{env}");
        let path = media.path(&ctx, &id).expect("a database with a file");
        assert_ne!(Some(&path), media.path(&own, &id).as_ref());
        fs::write(path, b"changed").expect("change the bytes of one scope");
    }
    media.verify(&own, &id).await.expect("unchanged in its own scope");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn uploads_of_one_content_at_the_same_time_are_one_object() {
    let (bench, ctx) = bench();
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (media, ctx) = (bench.engines.media.clone(), ctx.clone());
        calls.spawn(async move { media.store(&ctx, &TEXT.repeat(1_000), None).await });
    }
    let stored: Vec<bool> =
        calls.join_all().await.into_iter().map(|stored| stored.expect("store").is_new).collect();
    assert_eq!(stored.iter().filter(|is_new| **is_new).count(), 1);
    bench.engines.media.verify(&ctx, &MediaId::of(&TEXT.repeat(1_000))).await.expect("whole");
}

#[tokio::test]
async fn engines_in_memory_keep_objects_in_memory() {
    let (bench, ctx) = bench();
    let engines = Engines::over(Nexus::in_memory(Sources::counted()).expect("make a database"));
    let id = engines.media.store(&ctx, GIF, None).await.expect("store").info.media_id;
    assert_eq!(engines.media.fetch(&ctx, &id).await.expect("fetch").bytes, GIF);
    assert_eq!(engines.media.path(&ctx, &id), None);
    let foreign = bench.context("globex", "prod");
    assert!(matches!(engines.media.fetch(&foreign, &id).await, Err(MediaError::NotFound { .. })));
}

#[test]
fn media_ids_are_hashes_and_never_paths() {
    let id = MediaId::of(b"x");
    assert_eq!(id.as_str().parse::<MediaId>().expect("an id"), id);
    let upper = id.as_str().to_uppercase();
    for bad in ["", "../../etc/passwd", &id.as_str()[1..], &upper, &format!("{}/", &id.as_str()[1..])] {
        assert!(bad.parse::<MediaId>().is_err(), "{bad}");
    }
}
