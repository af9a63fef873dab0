//! Which forms, times and claims of a token are accepted, and what each of the others answers.

mod common;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::{AUDIENCE, ISSUER, NOW, TestKey, ask, builder, claims, headers, invalid, of, with};
use dataset_events::{ActorType, ErrorCode};
use dataset_events_service::identity::{JwtBuilder, MAX_TOKEN_BYTES};
use dataset_events_service::{
    AuthError, Authenticate, Credentials, IdentityConfigError, JwtAuthenticator, KeySet, VerificationKey,
};
use http::HeaderValue;
use serde_json::{Value, json};

#[tokio::test]
async fn times_are_checked_with_the_leeway_and_the_injected_clock() {
    let key = TestKey::hs256();
    let authenticator = of(&key);
    let cases = [
        (with("exp", json!(NOW - 29)), Ok(())),
        (with("exp", json!(NOW - 30)), Err(AuthError::Expired)),
        (with("exp", json!(0)), Err(AuthError::Expired)),
        (with("exp", json!(NOW as f64 - 29.5)), Err(AuthError::Expired)),
        (with("exp", json!(1e300)), Ok(())),
        (with("nbf", json!(NOW + 30)), Ok(())),
        (with("nbf", json!(NOW + 31)), Err(AuthError::NotYetValid)),
        (with("nbf", json!(NOW as f64 + 30.5)), Err(AuthError::NotYetValid)),
        (with("nbf", Value::Null), Ok(())),
        (with("iat", json!(NOW + 31)), Err(AuthError::NotYetValid)),
        (with("iat", json!(u64::MAX)), Err(AuthError::NotYetValid)),
        (with("iat", Value::Null), Ok(())),
        (with("exp", Value::Null), invalid("exp").map(drop)),
        (with("exp", json!("4000000600")), invalid("exp").map(drop)),
        (with("exp", json!(-1)), invalid("exp").map(drop)),
        (with("nbf", json!("soon")), invalid("nbf").map(drop)),
        (with("iat", json!({})), invalid("iat").map(drop)),
    ];
    for (claims, expected) in cases {
        assert_eq!(ask(&authenticator, &key.token(&claims)).await.map(drop), expected, "{claims}");
    }
}

#[tokio::test]
async fn issuer_and_audience_are_checked() {
    let key = TestKey::hs256();
    let authenticator = of(&key);
    let cases = [
        (with("iss", json!("https://other.example")), Err(AuthError::WrongIssuer)),
        (with("iss", json!("https://issuer.example/")), Err(AuthError::WrongIssuer)),
        (with("iss", json!([ISSUER])), invalid("iss").map(drop)),
        (with("iss", Value::Null), invalid("iss").map(drop)),
        (with("aud", json!("billing")), Err(AuthError::WrongAudience)),
        (with("aud", json!("notes2")), Err(AuthError::WrongAudience)),
        (with("aud", json!([])), Err(AuthError::WrongAudience)),
        (with("aud", json!(["billing", AUDIENCE])), Ok(())),
        (with("aud", json!([AUDIENCE, 1])), invalid("aud").map(drop)),
        (with("aud", json!({"notes": true})), invalid("aud").map(drop)),
        (with("aud", Value::Null), invalid("aud").map(drop)),
    ];
    for (claims, expected) in cases {
        assert_eq!(ask(&authenticator, &key.token(&claims)).await.map(drop), expected, "{claims}");
    }
}

#[tokio::test]
async fn claims_that_are_no_ids_are_refused() {
    let key = TestKey::hs256();
    let authenticator = of(&key);
    let long = "t".repeat(129);
    let tenants = [
        json!(7),
        json!(true),
        json!({"id": "acme"}),
        json!(""),
        json!("$system"),
        json!(".."),
        json!("../"),
        json!("../acme"),
        json!("a b"),
        json!("acme\u{0}"),
        json!("ac\u{301}me"),
        json!(long),
        json!([]),
        json!([7]),
        json!(["acme", "$system"]),
        json!([["acme"]]),
        json!([null]),
        Value::Null,
    ];
    for tenant in tenants {
        let token = key.token(&with("tenant_id", tenant.clone()));
        assert_eq!(ask(&authenticator, &token).await, invalid("tenant_id"), "{tenant}");
    }
    let subjects =
        [json!(7), json!(""), json!("a b"), json!("u\n7"), json!("ü"), json!("s".repeat(256)), Value::Null];
    for sub in subjects {
        let token = key.token(&with("sub", sub.clone()));
        assert_eq!(ask(&authenticator, &token).await, invalid("sub"), "{sub}");
    }
}

#[tokio::test]
async fn a_subject_as_long_as_fits_is_accepted_and_one_byte_more_is_not() {
    let key = TestKey::hs256();
    let room = 256 - ISSUER.len() - 1;
    let fits = ask(&of(&key), &key.token(&with("sub", json!("s".repeat(room))))).await.unwrap();
    assert_eq!(fits.subject.as_str().len(), 256);
    let longer = ask(&of(&key), &key.token(&with("sub", json!("s".repeat(room + 1))))).await;
    assert_eq!(longer, invalid("sub"));
}

#[tokio::test]
async fn claims_are_found_by_configured_names_and_pointers() {
    let key = TestKey::hs256();
    let mut claims = claims();
    claims["https://acme.example/tenants"] = json!(["globex", "acme", "globex"]);
    claims["org"] = json!({"who/is": [{"id": "u_9"}], "env": "staging"});
    claims["act"] = json!({"sub": "u_1"});
    let authenticator = builder([key.verifying.clone()])
        .tenant_claim("https://acme.example/tenants")
        .user_claim("/org/who~1is/0/id")
        .env_claim("/org/env")
        .on_behalf_of_claim("/act/sub")
        .actor_type(ActorType::Agent)
        .build()
        .unwrap();
    let identity = ask(&authenticator, &key.token(&claims)).await.unwrap();
    assert_eq!(identity.tenants, ["acme", "globex"]);
    assert_eq!(identity.user_id.unwrap(), "u_9");
    assert_eq!(identity.env.unwrap(), "staging");
    assert_eq!(identity.on_behalf_of.unwrap(), "u_1");
    assert_eq!(identity.actor_type, ActorType::Agent);

    claims["org"]["env"] = json!("PROD");
    assert_eq!(ask(&authenticator, &key.token(&claims)).await, invalid("/org/env"));
    claims["org"].as_object_mut().unwrap().remove("env");
    assert_eq!(ask(&authenticator, &key.token(&claims)).await, invalid("/org/env"));
}

#[tokio::test]
async fn env_and_on_behalf_of_are_not_read_unless_configured() {
    let key = TestKey::hs256();
    let mut claims = claims();
    claims["env"] = json!("prod");
    claims["on_behalf_of"] = json!("u_1");
    claims["act"] = json!({"sub": "u_1"});
    let identity = ask(&of(&key), &key.token(&claims)).await.unwrap();
    assert_eq!((identity.env, identity.on_behalf_of), (None, None));
}

#[tokio::test]
async fn critical_headers_are_refused() {
    let key = TestKey::hs256();
    for crit in [json!(["exp"]), json!(["b64"]), json!([]), json!(null), json!("exp")] {
        let token = key.signed(&json!({"alg": "HS256", "crit": crit, "b64": false}), &claims());
        assert_eq!(ask(&of(&key), &token).await, Err(AuthError::InvalidToken), "{crit}");
    }
}

#[tokio::test]
async fn what_is_no_jwt_is_malformed() {
    let key = TestKey::hs256();
    let authenticator = of(&key);
    let good = key.token(&claims());
    let (message, signature) = good.rsplit_once('.').unwrap();
    let (header, payload) = message.split_once('.').unwrap();
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let deep = "[".repeat(2000);
    let tokens = [
        "x".to_owned(),
        "..".to_owned(),
        message.to_owned(),
        format!("{good}.{signature}"),
        format!("{good}="),
        format!("{header}=.{payload}.{signature}"),
        format!("{header}.{payload}A.{signature}"),
        format!("{header}.{payload}.{}", signature.replace(['-', '_'], "+") + "+"),
        format!("{}.{payload}.{signature}", encode(b"\xff\xfe{}")),
        format!("{header}.{}.{signature}", encode(b"{\"iss\":\"\xff\"}")),
        format!("{}.{payload}.{signature}", encode(b"[]")),
        format!("{header}.{}.{signature}", encode(b"\"claims\"")),
        format!("{header}.{}.{signature}", encode(format!("{{\"a\":{deep}").as_bytes())),
        format!("{header}.{}.{signature}", encode(b"{} {}")),
    ];
    for token in tokens {
        assert_eq!(ask(&authenticator, &token).await, Err(AuthError::MalformedCredentials), "{token}");
    }
}

#[tokio::test]
async fn a_token_beyond_the_bound_is_refused_before_it_is_read() {
    let key = TestKey::hs256();
    let pad = |bytes: usize| key.token(&with("pad", json!("p".repeat(bytes))));
    let mut bytes = MAX_TOKEN_BYTES / 4 * 3 - 400;
    while pad(bytes + 1).len() <= MAX_TOKEN_BYTES {
        bytes += 1;
    }
    assert!(ask(&of(&key), &pad(bytes)).await.is_ok());
    assert_eq!(ask(&of(&key), &pad(bytes + 3)).await, Err(AuthError::MalformedCredentials));
}

#[tokio::test]
async fn the_authorization_header_stands_once_and_is_a_bearer_token() {
    let key = TestKey::hs256();
    let authenticator = of(&key);
    let token = key.token(&claims());
    let ask = async |values: &[&[u8]]| {
        let mut headers = http::HeaderMap::new();
        for value in values {
            headers.append("authorization", HeaderValue::from_bytes(value).unwrap());
        }
        authenticator.authenticate(Credentials::new(&headers)).await
    };
    let bearer = format!("Bearer {token}");
    assert!(ask(&[bearer.as_bytes()]).await.is_ok());
    assert!(ask(&[format!("bEARER  {token}").as_bytes()]).await.is_ok());
    assert_eq!(ask(&[]).await, Err(AuthError::MissingCredentials));
    let malformed: [&[&[u8]]; 8] = [
        &[bearer.as_bytes(), bearer.as_bytes()],
        &[bearer.as_bytes(), b"Basic dTpw"],
        &[b"Basic dTpw"],
        &[b"Bearer"],
        &[b"Bearer "],
        &[token.as_bytes()],
        &[b"Bearer \xff\xfe"],
        &[b"Bearer a, Bearer b"],
    ];
    for values in malformed {
        assert_eq!(ask(values).await, Err(AuthError::MalformedCredentials));
    }
}

#[tokio::test]
async fn no_mutation_of_one_byte_is_accepted_unless_it_decodes_to_the_same_signature() {
    let mut tried = 0;
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    for key in TestKey::every() {
        let authenticator = of(&key);
        let good = key.token(&claims());
        let (message, signature) = good.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~+/=";
        let mut of_this_key = 0;
        while of_this_key < 500 {
            // xorshift64: the same mutations in each run.
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            let at = (seed >> 8) as usize % good.len();
            let byte = alphabet[(seed >> 40) as usize % alphabet.len()];
            // The end of the signature has bits that are not part of it: take it often.
            let at = if of_this_key % 10 == 0 { good.len() - 1 } else { at };
            if good.as_bytes()[at] == byte {
                continue;
            }
            let mut mutated = good.clone().into_bytes();
            mutated[at] = byte;
            let mutated = String::from_utf8(mutated).unwrap();
            let is_same = mutated.rsplit_once('.').is_some_and(|(other, text)| {
                other == message && URL_SAFE_NO_PAD.decode(text).is_ok_and(|bytes| bytes == signature)
            });
            let outcome = ask(&authenticator, &mutated).await;
            assert_eq!(outcome.is_ok(), is_same, "{} byte {at} to {:?}", key.name(), char::from(byte));
            of_this_key += 1;
        }
        tried += of_this_key;
    }
    assert_eq!(tried, 2000);
}

#[test]
fn an_authenticator_needs_issuer_audience_and_keys() {
    let keys = || KeySet::new([TestKey::hs256().verifying]).unwrap();
    let error = |builder: JwtBuilder| builder.build().unwrap_err();
    let bare = JwtAuthenticator::builder;
    assert_eq!(error(bare().audience("a").keys(keys())), IdentityConfigError::NoIssuer);
    assert_eq!(error(bare().issuer("i").keys(keys())), IdentityConfigError::NoAudience);
    assert_eq!(error(bare().issuer("i").audience("a")), IdentityConfigError::NoKeys);
    for issuer in ["", "a|b", "a b", "ü", &"i".repeat(201)] {
        let refused = error(bare().issuer(issuer).audience("a").keys(keys()));
        assert_eq!(refused, IdentityConfigError::InvalidIssuer { len_bytes: issuer.len() });
    }
    let full = || bare().issuer("i").audience("a").keys(keys());
    assert!(full().leeway(Duration::from_secs(300)).build().is_ok());
    let refused = error(full().leeway(Duration::from_secs(301)));
    assert_eq!(refused, IdentityConfigError::LeewayTooLong { seconds: 301, max_seconds: 300 });
    for path in ["", "/org/~2", "/a~"] {
        let refused = error(full().tenant_claim(path));
        assert_eq!(refused, IdentityConfigError::InvalidClaimPath { what: "tenant" });
    }
}

#[tokio::test]
async fn neither_token_nor_key_is_in_debug_output_or_errors() {
    const CANARY: &str = "canary-6f1d2c-canary-6f1d2c-canary";
    let key = VerificationKey::hs256(CANARY.as_bytes()).unwrap();
    let authenticator = builder([key.clone()]).build().unwrap();
    let token = TestKey::hs256().token(&with("tenant_id", json!(CANARY)));
    let headers = headers(&token);
    let refusal = authenticator.authenticate(Credentials::new(&headers)).await.unwrap_err();
    let signed = jsonwebtoken::encode(
        &jsonwebtoken::Header::default(),
        &with("tenant_id", json!(format!("$ {CANARY}"))),
        &jsonwebtoken::EncodingKey::from_secret(CANARY.as_bytes()),
    );
    let invalid = ask(&authenticator, &signed.unwrap()).await.unwrap_err();
    assert_eq!(invalid.code().name(), "auth.invalid_claim");
    let short = VerificationKey::hs256(&CANARY.as_bytes()[..20]).unwrap_err();
    let texts = [
        format!("{authenticator:?}{key:?}{:?}", builder([key.clone()])),
        format!("{refusal} {refusal:?} {invalid} {invalid:?} {short} {short:?}"),
        format!("{:?}", Credentials::new(&headers)),
    ];
    for text in texts {
        assert!(!text.contains("canary-6f1d2c"), "{text}");
        assert!(!text.contains(token.rsplit_once('.').unwrap().1), "{text}");
    }
}

#[test]
fn the_documented_codes_are_those_of_the_error_with_their_status() {
    let document = include_str!("../../docs/identity.md");
    let (_, table) = document.split_once("## What each failure answers").unwrap();
    let documented: Vec<_> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        .map(|(code, rest)| (code.to_owned(), rest.split([' ', ',']).next().unwrap().parse::<u16>().unwrap()))
        .collect();
    let declared: Vec<_> =
        AuthError::codes().iter().map(|code| (code.name().to_owned(), code.http_status())).collect();
    let sorted = |mut codes: Vec<(String, u16)>| {
        codes.sort();
        codes
    };
    assert_eq!(sorted(documented), sorted(declared));
}
