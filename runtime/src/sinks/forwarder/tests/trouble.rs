use super::*;

#[test]
fn what_fails_comes_again_until_it_is_stored() {
    let (storage, rig) = (MemoryStorage::default(), Rig::new());
    rig.target.lock().open_answers.extend([Answer::Retry, Answer::Reopen]);
    rig.target.answers([
        Answer::Retry,
        Answer::StoreThenRetry,
        Answer::Reopen,
        Answer::StoreThenRetry,
        Answer::Retry,
    ]);
    let ledger = options(&storage).sink(rig.spec("copy")).open().unwrap();
    record(&ledger, "probe.retry", 30);
    let status = wait_until_caught_up(&ledger, "copy");
    ledger.close().unwrap();
    assert_eq!(status.retries, 7);
    assert_eq!(rig.target.lock().opened, 4, "twice in vain, then once, and after `Reopen` once more");
    assert!(status.last_error.unwrap().message.starts_with("append to the test target: "));
    assert_eq!(rig.target.lines(), log_lines(&storage));
    let came = rig.target.lock().entries.len();
    assert!(came > rig.target.in_effect().len(), "it came again");
}

#[test]
fn fatal_and_panic_stop_a_sink_until_it_is_resumed() {
    let (storage, rig) = (MemoryStorage::default(), Rig::new());
    let ledger = options(&storage).sink(rig.spec("copy")).open().unwrap();
    for (answer, reason) in [
        (Answer::Fatal, "append to the test target: no such table"),
        (Answer::Panic, "the sink panicked when it was given a batch: on purpose"),
    ] {
        wait_until_caught_up(&ledger, "copy");
        rig.target.answers([answer]);
        let opened = rig.target.lock().opened;
        record(&ledger, "probe.stop", 10);
        let stopped =
            wait_for(&ledger, "copy", |status| matches!(status.state, ForwardState::Stopped { .. }));
        assert_eq!(stopped.state, ForwardState::Stopped { reason: reason.to_owned() });
        assert!(stopped.lag_events >= 10, "{stopped:?}");
        assert!(stopped.lag_seconds > 0.0, "{stopped:?}");
        let appends = rig.target.lock().appends;
        record(&ledger, "probe.stop", 10);
        assert_eq!(rig.target.lock().appends, appends, "it does nothing");
        ledger.sinks().resume("copy").unwrap();
        wait_until_caught_up(&ledger, "copy");
        assert_eq!(rig.target.lock().opened, opened + 1);
    }
    ledger.close().unwrap();
    assert_eq!(rig.target.lines(), log_lines(&storage));
}

#[test]
fn what_is_refused_is_kept_and_the_rest_is_stored() {
    let (storage, rig) = (MemoryStorage::default(), Rig::new());
    let ledger = options(&storage).open().unwrap();
    record(&ledger, "probe.bad", 20);
    // The identity, the checkpoint of the opening, the ledger's own event, then ours.
    rig.target.answers([Answer::Reject(vec![5, 9])]);
    ledger.sinks().add(rig.spec("copy")).unwrap();
    let status = wait_until_caught_up(&ledger, "copy");
    assert_eq!(status.dead_letters, 2);
    let letters = ledger.sinks().dead_letters("copy", 10).unwrap();
    ledger.close().unwrap();
    assert_eq!(letters.len(), 2);
    let stored = rig.target.lines();
    for letter in &letters {
        assert_eq!((&*letter.kind, &*letter.reason), ("event", "too large"));
        let text = letter.text.as_ref().unwrap();
        assert!(text.contains(&letter.key) && !stored.contains(text));
    }
    let mut all = stored;
    all.extend(letters.into_iter().filter_map(|letter| letter.text));
    let mut log = log_lines(&storage);
    all.sort();
    log.sort();
    assert_eq!(all, log);
}

#[test]
fn a_hanging_sink_holds_neither_the_ledger_nor_another_sink_nor_the_close() {
    let storage = MemoryStorage::default();
    let (stuck, well) = (Rig::new(), Rig::new());
    stuck.target.answers([Answer::Hang]);
    let spec = stuck.spec("stuck").close_within(Duration::from_millis(50));
    let ledger = options(&storage).sink(spec).sink(well.spec("well")).open().unwrap();
    record(&ledger, "probe.hang", 100);
    wait_until_caught_up(&ledger, "well");
    wait_for(&ledger, "stuck", |_| stuck.target.lock().appends == 1);
    stuck.time.pass(Duration::from_secs(61));
    let status = ledger.sinks().status("stuck").unwrap();
    assert!(matches!(status.state, ForwardState::Hanging { .. }), "{status:?}");
    assert!(status.lag_events > 100);
    assert_eq!(ledger.health(), crate::Health::Green);
    let begun = Instant::now();
    ledger.close().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(well.target.lines(), log_lines(&storage));
    // The thread that was left behind writes nothing of the ledger's when it comes back.
    let before = storage.list("sinks/stuck").unwrap();
    stuck.target.release();
    let deadline = Instant::now() + Duration::from_secs(10);
    while stuck.target.lock().closed == 0 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(stuck.target.lock().closed, 1);
    assert_eq!(storage.list("sinks/stuck").unwrap(), before);
}
