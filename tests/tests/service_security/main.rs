//! What an attacker sends to the two services is refused with its code, and recorded where it belongs: exactly.

mod bodies;
mod headers;
mod paths;
#[path = "../services_common/mod.rs"]
mod services_common;
mod storm;
mod tokens;
mod wire;

use std::collections::BTreeMap;

use services_common::{Answer, Ledger, Recorded};

/// The stream of requests without an identity.
const NOBODY: &str = "$system/$system";
/// The stream of the one who is authenticated in these tests.
const ACME: &str = "acme/prod";

/// How many requests each stream must hold, by code.
#[derive(Debug, Default)]
struct Expected(BTreeMap<(String, String), u64>);

impl Expected {
    fn add(&mut self, stream: &str, code: &str) {
        *self.0.entry((stream.to_owned(), code.to_owned())).or_default() += 1;
    }

    /// Checks that a ledger holds these requests and no other.
    fn assert_all_of(&self, ledger: &Ledger) {
        assert_eq!(ledger.requests(), self.0);
    }
}

/// Checks an answer: its status, its code, and that it does not repeat a token.
fn assert_refused(name: &str, answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.code().as_str()), (status, code), "{name}: {}", answer.text());
    assert_no_token(&format!("the answer to {name}"), &answer.body);
    for (header, value) in &answer.headers {
        assert_no_token(&format!("the header {header} of the answer to {name}"), value.as_bytes());
    }
}

/// Checks that no file of the services holds a token: ledgers, indexes, databases.
fn assert_no_token_is_kept(recorded: &Recorded) {
    let files = recorded.files();
    assert!(files.len() >= 6, "{files:?}");
    for file in files {
        assert_no_token(&file.display().to_string(), &std::fs::read(&file).expect("readable"));
    }
}

/// What every token of these tests begins with: base64url of `{"`, and a word in those that are no JWT.
const BEGINNINGS: [&[u8]; 2] = [b"eyJ", b"opaque-token"];

fn assert_no_token(place: &str, bytes: &[u8]) {
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(byte, b'e' | b'o') && BEGINNINGS.iter().any(|begin| bytes[at..].starts_with(begin)) {
            let until = (at + 40).min(bytes.len());
            panic!("a token in {place}: {}", bytes[at..until].escape_ascii());
        }
    }
}
