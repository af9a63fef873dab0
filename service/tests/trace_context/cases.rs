//! The cases of the official suite, by their names there: what is sent, and what the second service must see.

use self::Expect::{Kept, New, NewWithoutState, NoState};

/// The trace of every good `traceparent` here.
pub(crate) const TRACE: &str = "12345678901234567890123456789012";
/// A good `traceparent`.
pub(crate) const PARENT: &str = "00-12345678901234567890123456789012-1234567890123456-01";

/// What a case expects of the second service's headers.
pub(crate) enum Expect {
    /// The trace goes on, under another parent.
    Kept,
    /// There is a new trace.
    New,
    /// The trace goes on with these members, in this order.
    State(Vec<(String, String)>),
    /// The trace goes on without any member.
    NoState,
    /// There is a new trace without any member.
    NewWithoutState,
}

pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) requests: Vec<(Vec<(&'static str, String)>, Expect)>,
}

fn parents(name: &'static str, values: &[&str], expect: fn() -> Expect) -> Case {
    let requests = values.iter().map(|value| (vec![("traceparent", (*value).to_owned())], expect()));
    Case { name, requests: requests.collect() }
}

fn with_parent_name(name: &'static str, headers: &[&'static str], expect: fn() -> Expect) -> Case {
    let requests = headers.iter().map(|header| (vec![(*header, PARENT.to_owned())], expect()));
    Case { name, requests: requests.collect() }
}

/// Requests with a good traceparent and these `tracestate` headers.
fn states(name: &'static str, requests: Vec<(Vec<String>, Expect)>) -> Case {
    let requests = requests.into_iter().map(|(values, expect)| {
        let mut headers = vec![("traceparent", PARENT.to_owned())];
        headers.extend(values.into_iter().map(|value| ("tracestate", value)));
        (headers, expect)
    });
    Case { name, requests: requests.collect() }
}

fn named_states(name: &'static str, headers: &[&'static str], expect: fn() -> Expect) -> Case {
    let requests = headers
        .iter()
        .map(|header| (vec![("traceparent", PARENT.to_owned()), (*header, "foo=1".to_owned())], expect()));
    Case { name, requests: requests.collect() }
}

fn members(pairs: &[(&str, &str)]) -> Expect {
    Expect::State(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
}

fn lines(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

pub(crate) fn traceparent_cases() -> Vec<Case> {
    let with = |trace: &str, parent: &str, flags: &str| format!("00-{trace}-{parent}-{flags}");
    let bad = |name, values: &[String]| {
        parents(name, &values.iter().map(String::as_str).collect::<Vec<_>>(), || New)
    };
    let good_parent = "1234567890123456";
    vec![
        Case { name: "test_both_traceparent_and_tracestate_missing", requests: vec![(vec![], New)] },
        parents("test_traceparent_included_tracestate_missing", &[PARENT], || Kept),
        Case {
            name: "test_traceparent_duplicated",
            requests: vec![(
                vec![
                    ("traceparent", with("12345678901234567890123456789011", good_parent, "01")),
                    ("traceparent", with(TRACE, good_parent, "01")),
                ],
                New,
            )],
        },
        with_parent_name("test_traceparent_header_name", &["trace-parent", "trace.parent"], || New),
        with_parent_name(
            "test_traceparent_header_name_valid_casing",
            &["TraceParent", "TrAcEpArEnT", "TRACEPARENT"],
            || Kept,
        ),
        bad(
            "test_traceparent_version_0x00",
            &[format!("{PARENT}."), format!("{PARENT}-what-the-future-will-be-like")],
        ),
        Case {
            name: "test_traceparent_version_0xcc",
            requests: [
                ("", true),
                ("-what-the-future-will-be-like", true),
                (".what-the-future-will-be-like", false),
            ]
            .map(|(rest, is_kept)| {
                let value = format!("cc-{TRACE}-{good_parent}-01{rest}");
                (vec![("traceparent", value)], if is_kept { Kept } else { New })
            })
            .into(),
        },
        bad("test_traceparent_version_0xff", &[format!("ff-{TRACE}-{good_parent}-01")]),
        bad(
            "test_traceparent_version_illegal_characters",
            &[format!(".0-{TRACE}-{good_parent}-01"), format!("0.-{TRACE}-{good_parent}-01")],
        ),
        bad(
            "test_traceparent_version_too_long",
            &[format!("000-{TRACE}-{good_parent}-01"), format!("0000-{TRACE}-{good_parent}-01")],
        ),
        bad("test_traceparent_version_too_short", &[format!("0-{TRACE}-{good_parent}-01")]),
        bad("test_traceparent_trace_id_all_zero", &[with(&"0".repeat(32), good_parent, "01")]),
        bad(
            "test_traceparent_trace_id_illegal_characters",
            &[
                with(".2345678901234567890123456789012", good_parent, "01"),
                with("1234567890123456789012345678901.", good_parent, "01"),
            ],
        ),
        bad("test_traceparent_trace_id_too_long", &[with(&format!("{TRACE}3"), good_parent, "01")]),
        bad("test_traceparent_trace_id_too_short", &[with(&TRACE[..31], good_parent, "01")]),
        bad("test_traceparent_parent_id_all_zero", &[with(TRACE, &"0".repeat(16), "01")]),
        bad(
            "test_traceparent_parent_id_illegal_characters",
            &[with(TRACE, ".234567890123456", "01"), with(TRACE, "123456789012345.", "01")],
        ),
        bad("test_traceparent_parent_id_too_long", &[with(TRACE, "12345678901234567", "01")]),
        bad("test_traceparent_parent_id_too_short", &[with(TRACE, "123456789012345", "01")]),
        bad(
            "test_traceparent_trace_flags_illegal_characters",
            &[with(TRACE, good_parent, ".0"), with(TRACE, good_parent, "0.")],
        ),
        bad("test_traceparent_trace_flags_too_long", &[with(TRACE, good_parent, "001")]),
        bad("test_traceparent_trace_flags_too_short", &[with(TRACE, good_parent, "1")]),
        parents(
            "test_traceparent_ows_handling",
            &[
                &format!(" {PARENT}"),
                &format!("\t{PARENT}"),
                &format!("{PARENT} "),
                &format!("{PARENT}\t"),
                &format!("\t {PARENT} \t"),
            ],
            || Kept,
        ),
    ]
}

pub(crate) fn tracestate_cases() -> Vec<Case> {
    let only_foo = || members(&[("foo", "1")]);
    let key = "abcdefghijklmnopqrstuvwxyz0123456789_-*/";
    let key_with_vendor = format!("{key}@a-z0-9_-*/");
    let value: String = (0x20..=0x7e_u8).filter(|byte| !b",=".contains(byte)).map(char::from).collect();
    let bars = |range: std::ops::RangeInclusive<u32>| {
        range.map(|number| format!("bar{number:02}={number:02}")).collect::<Vec<_>>().join(",")
    };
    let bars_expected = Expect::State((1..=32).map(|n| (format!("bar{n:02}"), format!("{n:02}"))).collect());
    let bar_lines = |last| vec![bars(1..=10), bars(11..=20), bars(21..=30), bars(31..=last)];
    let three = || members(&[("foo", "1"), ("bar", "2"), ("baz", "3")]);
    let dropped = |values: &[&str]| values.iter().map(|value| (lines(&[value]), NoState)).collect::<Vec<_>>();
    let with_foo = |second: String| vec!["foo=1".to_owned(), second];
    vec![
        Case {
            name: "test_tracestate_included_traceparent_missing",
            requests: ["foo=1", "foo=1,bar=2"]
                .map(|state| (vec![("tracestate", state.to_owned())], NewWithoutState))
                .into(),
        },
        states(
            "test_tracestate_included_traceparent_included",
            vec![(lines(&["foo=1,bar=2"]), members(&[("foo", "1"), ("bar", "2")]))],
        ),
        named_states("test_tracestate_header_name", &["trace-state", "trace.state"], || NoState),
        named_states(
            "test_tracestate_header_name_valid_casing",
            &["TraceState", "TrAcEsTaTe", "TRACESTATE"],
            || members(&[("foo", "1")]),
        ),
        states(
            "test_tracestate_empty_header",
            vec![
                (lines(&[""]), NoState),
                (lines(&["foo=1", ""]), only_foo()),
                (lines(&["", "foo=1"]), only_foo()),
            ],
        ),
        states(
            "test_tracestate_multiple_headers_different_keys",
            vec![(
                lines(&["foo=1,bar=2", "rojo=1,congo=2", "baz=3"]),
                members(&[("foo", "1"), ("bar", "2"), ("rojo", "1"), ("congo", "2"), ("baz", "3")]),
            )],
        ),
        states(
            "test_tracestate_duplicated_keys",
            vec![
                (lines(&["foo=1,foo=1"]), NoState),
                (lines(&["foo=1,foo=2"]), NoState),
                (lines(&["foo=1", "foo=1"]), NoState),
                (lines(&["foo=1", "foo=2"]), NoState),
            ],
        ),
        states(
            "test_tracestate_all_allowed_characters",
            vec![
                (vec![format!("{key}={value}")], members(&[(key, &value)])),
                (vec![format!("{key_with_vendor}={value}")], members(&[(&key_with_vendor, &value)])),
            ],
        ),
        states(
            "test_tracestate_ows_handling",
            vec![
                (lines(&["foo=1 \t , \t bar=2, \t baz=3"]), three()),
                (lines(&["foo=1\t \t,\t \tbar=2,\t \tbaz=3"]), three()),
                (lines(&[" foo=1"]), only_foo()),
                (lines(&["\tfoo=1"]), only_foo()),
                (lines(&["foo=1 "]), only_foo()),
                (lines(&["foo=1\t"]), only_foo()),
                (lines(&["\t foo=1 \t"]), only_foo()),
            ],
        ),
        states("test_tracestate_key_illegal_characters", dropped(&["foo =1", "FOO=1", "foo.bar=1"])),
        states(
            "test_tracestate_key_illegal_vendor_format",
            dropped(&["foo@=1,bar=2", "@foo=1,bar=2", "foo@@bar=1,bar=2", "foo@bar@baz=1,bar=2"]),
        ),
        states(
            "test_tracestate_member_count_limit",
            vec![(bar_lines(32), bars_expected), (bar_lines(33), NoState)],
        ),
        states(
            "test_tracestate_key_length_limit",
            vec![
                (
                    with_foo(format!("{}=1", "z".repeat(256))),
                    members(&[("foo", "1"), (&"z".repeat(256), "1")]),
                ),
                (with_foo(format!("{}=1", "z".repeat(257))), NoState),
                (
                    with_foo(format!("{}@{}=1", "t".repeat(241), "v".repeat(14))),
                    members(&[("foo", "1"), (&format!("{}@{}", "t".repeat(241), "v".repeat(14)), "1")]),
                ),
                (with_foo(format!("{}@v=1", "t".repeat(242))), NoState),
                (with_foo(format!("t@{}=1", "v".repeat(15))), NoState),
            ],
        ),
        states("test_tracestate_value_illegal_characters", dropped(&["foo=bar=baz", "foo=,bar=3"])),
    ]
}
