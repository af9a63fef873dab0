//! Which key verifies which token, and which keys are not even loaded.

mod common;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::{AUDIENCE, ISSUER, NOW, TestKey, ask, builder, claims, of, part};
use dataset_events::ActorType;
use dataset_events_service::{AuthError, IdentityConfigError, JwtAuthenticator, KeySet, VerificationKey};
use serde_json::{Value, json};

#[tokio::test]
async fn each_algorithm_is_accepted_with_its_key() {
    for key in TestKey::every() {
        let identity = ask(&of(&key), &key.token(&claims())).await.unwrap();
        assert_eq!(identity.subject, "https://issuer.example|u_7", "{}", key.name());
        assert_eq!(identity.user_id.unwrap(), "u_7");
        assert_eq!(identity.tenants, ["acme"]);
        assert_eq!(identity.actor_type, ActorType::User);
        assert_eq!((identity.env, identity.on_behalf_of), (None, None));
    }
}

#[tokio::test]
async fn keys_of_a_jwk_set_verify_what_their_pair_signs() {
    for key in TestKey::every() {
        let set = json!({"keys": [{"kty": "EC", "crv": "P-521", "x": "", "y": ""}, key.jwk("k1")]});
        let keys = KeySet::from_jwks(&set.to_string()).unwrap();
        assert_eq!(keys.len(), 1);
        let authenticator = JwtAuthenticator::builder().issuer(ISSUER).audience(AUDIENCE).keys(keys);
        let authenticator = authenticator.clock(|| NOW).build().unwrap();
        assert!(ask(&authenticator, &key.token_of("k1", &claims())).await.is_ok(), "{}", key.name());
    }
}

#[tokio::test]
async fn a_signature_of_another_key_is_refused() {
    for (key, other) in TestKey::every().into_iter().zip(TestKey::every()) {
        let forged = ask(&of(&key), &other.token(&claims())).await;
        assert_eq!(forged, Err(AuthError::InvalidToken), "{}", key.name());
        let good = key.token(&claims());
        let (message, _) = good.rsplit_once('.').unwrap();
        for signature in ["", "AAAA"] {
            let cut = ask(&of(&key), &format!("{message}.{signature}")).await;
            assert_eq!(cut, Err(AuthError::InvalidToken), "{} {signature}", key.name());
        }
    }
}

#[tokio::test]
async fn unsigned_tokens_are_refused_however_none_is_spelt() {
    let every = TestKey::every();
    let authenticator = builder(every.iter().map(|key| key.verifying.clone())).build().unwrap();
    for alg in
        ["none", "None", "NONE", "nOnE", " none", "none ", "", "hs256", "HS384", "RS512", "PS256", "ES384"]
    {
        let header = json!({"alg": alg, "typ": "JWT"});
        let bare = format!("{}.{}.", part(&header), part(&claims()));
        let signed = every[0].signed(&header, &claims());
        for token in [bare, signed] {
            assert_eq!(ask(&authenticator, &token).await, Err(AuthError::UnsupportedAlgorithm), "{alg:?}");
        }
    }
    for header in [json!({"typ": "JWT"}), json!({"alg": null}), json!({"alg": ["HS256"]}), json!({"alg": 1})]
    {
        let token = every[0].signed(&header, &claims());
        assert_eq!(ask(&authenticator, &token).await, Err(AuthError::UnsupportedAlgorithm), "{header}");
    }
}

#[tokio::test]
async fn a_public_key_never_serves_as_an_hmac_secret() {
    for public in [TestKey::rs256(), TestKey::es256(), TestKey::eddsa()] {
        let secret_jwk = public.jwk("k1");
        let material: Vec<Vec<u8>> = ["n", "x"]
            .iter()
            .filter_map(|name| URL_SAFE_NO_PAD.decode(secret_jwk.get(name)?.as_str()?).ok())
            .chain([public.public_pem.clone().into_bytes(), public.public_pem.trim_end().as_bytes().to_vec()])
            .collect();
        assert!(material.len() >= 3);
        let secret = TestKey::hs256();
        let alone = builder([public.verifying.clone().kid("k1")]).build().unwrap();
        let mixed = [public.verifying.clone().kid("k1"), secret.verifying.clone().kid("k2")];
        let mixed = builder(mixed).build().unwrap();
        for bytes in material {
            for kid in [None, Some("k1")] {
                let mut header = json!({"alg": "HS256"});
                if let Some(kid) = kid {
                    header["kid"] = json!(kid);
                }
                let message = format!("{}.{}", part(&header), part(&claims()));
                let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &bytes), message.as_bytes());
                let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag));
                assert_eq!(ask(&alone, &token).await, Err(AuthError::UnsupportedAlgorithm));
                let expected =
                    if kid.is_some() { AuthError::UnsupportedAlgorithm } else { AuthError::InvalidToken };
                assert_eq!(ask(&mixed, &token).await, Err(expected));
            }
        }
        let refused = VerificationKey::hs256(public.public_pem.as_bytes());
        assert!(matches!(refused, Err(IdentityConfigError::InvalidKey { .. })));
    }
}

#[tokio::test]
async fn keys_that_a_token_brings_are_ignored() {
    let (trusted, own) = (TestKey::eddsa(), TestKey::eddsa());
    let header = json!({"alg": "EdDSA", "jwk": own.jwk("own"), "jku": "https://evil.example/jwks",
        "x5u": "https://evil.example/x5u"});
    let token = own.signed(&header, &claims());
    assert_eq!(ask(&of(&trusted), &token).await, Err(AuthError::InvalidToken));
}

#[tokio::test]
async fn kid_selects_and_its_absence_needs_one_fitting_key() {
    let (first, second, rsa) = (TestKey::eddsa(), TestKey::eddsa(), TestKey::rs256());
    let keys = [
        first.verifying.clone().kid("k1"),
        second.verifying.clone().kid("k2"),
        rsa.verifying.clone().kid("k3"),
    ];
    let authenticator = builder(keys).build().unwrap();
    let claims = claims();
    assert!(ask(&authenticator, &first.token_of("k1", &claims)).await.is_ok());
    assert!(ask(&authenticator, &second.token_of("k2", &claims)).await.is_ok());
    assert!(ask(&authenticator, &rsa.token(&claims)).await.is_ok());
    assert_eq!(ask(&authenticator, &first.token(&claims)).await, Err(AuthError::UnknownKey));
    assert_eq!(ask(&authenticator, &first.token_of("k9", &claims)).await, Err(AuthError::UnknownKey));
    assert_eq!(ask(&authenticator, &first.token_of("k2", &claims)).await, Err(AuthError::InvalidToken));
    assert_eq!(
        ask(&authenticator, &first.token_of("k3", &claims)).await,
        Err(AuthError::UnsupportedAlgorithm)
    );
    for kid in [json!(1), json!(null), json!(["k1"]), json!({})] {
        let token = first.signed(&json!({"alg": "EdDSA", "kid": kid}), &claims);
        assert_eq!(ask(&authenticator, &token).await, Err(AuthError::InvalidToken), "{kid}");
    }
}

#[test]
fn keys_that_are_too_weak_or_of_another_kind_are_not_loaded() {
    let (rsa, ec, ed) = (TestKey::rs256(), TestKey::es256(), TestKey::eddsa());
    let is_refused = |key: Result<VerificationKey, IdentityConfigError>| {
        matches!(key, Err(IdentityConfigError::InvalidKey { .. }))
    };
    assert!(is_refused(VerificationKey::hs256(&[7; 31])));
    assert!(is_refused(VerificationKey::rs256_pem(ec.public_pem.as_bytes())));
    assert!(is_refused(VerificationKey::es256_pem(ed.public_pem.as_bytes())));
    assert!(is_refused(VerificationKey::eddsa_pem(rsa.public_pem.as_bytes())));
    assert!(is_refused(VerificationKey::rs256_pem(rsa.private_pem.as_bytes())));
    assert!(is_refused(VerificationKey::es256_pem(ec.private_pem.as_bytes())));
    assert!(is_refused(VerificationKey::eddsa_pem(ed.private_pem.as_bytes())));
    assert!(is_refused(VerificationKey::rs256_pem(b"not PEM \xff")));

    let kept = |jwk: Value| KeySet::from_jwks(&json!({"keys": [jwk]}).to_string()).map(|keys| keys.len());
    let change = |jwk: Value, name: &str, value: Value| {
        let mut jwk = jwk;
        jwk[name] = value;
        jwk
    };
    let refused = |jwk: Value| matches!(kept(jwk), Err(IdentityConfigError::InvalidKeySet { .. }));
    let secret = TestKey::hs256().jwk("s");
    assert_eq!(kept(rsa.jwk("k")), Ok(1));
    assert_eq!(kept(change(rsa.jwk("k"), "use", json!("sig"))), Ok(1));
    assert_eq!(kept(change(rsa.jwk("k"), "key_ops", json!(["verify"]))), Ok(1));
    assert!(refused(change(rsa.jwk("k"), "use", json!("enc"))));
    assert!(refused(change(rsa.jwk("k"), "key_ops", json!(["encrypt"]))));
    assert!(refused(change(rsa.jwk("k"), "alg", json!("PS256"))));
    assert!(refused(change(rsa.jwk("k"), "alg", json!("HS256"))));
    assert!(refused(change(rsa.jwk("k"), "n", json!(URL_SAFE_NO_PAD.encode([0xff; 128])))));
    assert!(refused(change(ec.jwk("k"), "x", json!(URL_SAFE_NO_PAD.encode([1; 32])))));
    assert!(refused(change(ec.jwk("k"), "crv", json!("P-384"))));
    assert!(refused(change(ed.jwk("k"), "x", json!("AAAA"))));
    assert_eq!(kept(secret.clone()), Ok(1));
    assert!(refused(change(secret.clone(), "alg", json!("HS512"))));
    assert!(refused(change(secret, "k", json!("c2hvcnQ"))));
    assert!(matches!(KeySet::from_jwks("{}"), Err(IdentityConfigError::InvalidKeySet { .. })));
    let twice = [rsa.verifying.clone().kid("k"), rsa.verifying.clone().kid("k")];
    assert!(matches!(KeySet::new(twice), Err(IdentityConfigError::DuplicateKey { .. })));
}

#[tokio::test]
async fn keys_of_one_kid_are_told_apart_by_their_algorithm() {
    let (rsa, ec) = (TestKey::rs256(), TestKey::es256());
    let keys = [rsa.verifying.clone().kid("k1"), ec.verifying.clone().kid("k1")];
    let authenticator = builder(keys).build().unwrap();
    for key in [&rsa, &ec] {
        assert!(ask(&authenticator, &key.token_of("k1", &claims())).await.is_ok(), "{}", key.name());
    }
    let absent = TestKey::eddsa().token_of("k1", &claims());
    assert_eq!(ask(&authenticator, &absent).await, Err(AuthError::UnsupportedAlgorithm));
}
